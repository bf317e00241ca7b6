"""A verdict in one word by a language model that is let write nothing else.

Knows generators and replies; knows nothing of claims, evidence or prompts. A model in this process writes under a
grammar, so that every reply can be read; a server that does not keep to the form it was asked for is an error, and
never a guess.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from ragkit.domain.answers import GenerationOptions, Message
from ragkit.errors import GenerationError
from ragkit.roles import Generator

MAX_TOKENS = 24
"""Room for the reply in JSON."""


def decide(messages: Sequence[Message], generator: Generator, choices: tuple[str, ...]) -> str:
    """Which of the choices the model takes, by greedy decoding.

    Raises GenerationError when the reply is none of them.
    """
    options = GenerationOptions(max_tokens=MAX_TOKENS, temperature=0.0, choices=choices)
    reply = "".join(generator.generate(messages, options)).strip()
    said = read(reply, choices)
    if said is None:
        raise GenerationError(
            f"{generator.name} replied {reply[:60]!r}, which is none of {', '.join(choices)}",
            "use a server that keeps to a JSON schema, or generate.backend = llama",
        )
    return said


def read(reply: str, choices: Sequence[str]) -> str | None:
    """The choice that a reply is, as it stands or as {"reply": ...}; None when it is none.

    >>> read('{"reply": "Yes"}', ["Yes", "No"]), read("No", ["Yes", "No"]), read("Yes, but", ["Yes", "No"])
    ('Yes', 'No', None)
    """
    text = reply.strip()
    if text.startswith("{"):
        try:
            text = str(json.loads(text).get("reply", ""))
        except ValueError:
            return None
    return text if text in choices else None
