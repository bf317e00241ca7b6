"""Write a draft: by a GGUF model in this process, by an OpenAI-compatible server, or by quoting, without a model.

Knows messages and drafts; knows nothing of retrieval, nor of whether what was written is true.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ragkit.config import GenerateSettings
from ragkit.domain.answers import Draft, GenerationOptions, Message
from ragkit.errors import ModelNotFound, SettingsError
from ragkit.generate.extract import EXTRACTIVE, extract
from ragkit.roles import Generator

__all__ = ["BACKENDS", "EXTRACTIVE", "extract", "open_generator", "options", "write"]

BACKENDS = {
    "llama": "ragkit.generate.llama:LlamaGenerator",
    "openai": "ragkit.generate.openai:OpenAIGenerator",
}
"""generate.backend to the class behind it; `extractive` needs none, see `extract`."""


def open_generator(
    settings: GenerateSettings,
    *,
    model_file: Path | None = None,
    threads: int = 0,
    offline: bool = False,
    environ: Mapping[str, str] | None = None,
) -> Generator:
    """The generator that the settings name. `model_file` is the GGUF file that `settings.model` resolved to.

    Raises SettingsError, ModelError, or OfflineError for a server elsewhere while offline.
    """
    module, _, name = BACKENDS.get(settings.backend, "").partition(":")
    if not module:
        raise SettingsError(
            f"generate.backend {settings.backend} opens no model", f"use one of {', '.join(BACKENDS)}"
        )
    backend = getattr(importlib.import_module(module), name)
    generator: Generator
    if settings.backend == "openai":
        key = (os.environ if environ is None else environ).get(settings.api_key_env, "")
        generator = backend(
            settings.base_url,
            settings.model,
            api_key=key,
            timeout_seconds=settings.timeout_seconds,
            context_tokens=settings.context_tokens,
            offline=offline,
        )
        return generator
    if model_file is None:
        raise ModelNotFound(f"no GGUF file was given for {settings.model}", "run `ragkit models pull`")
    generator = backend(model_file, settings.model, context_tokens=settings.context_tokens, threads=threads)
    return generator


def options(settings: GenerateSettings) -> GenerationOptions:
    """How to sample, as the settings say."""
    return GenerationOptions(settings.max_tokens, settings.temperature, settings.top_k, settings.top_p, settings.seed)


def write(
    generator: Generator,
    messages: Sequence[Message],
    options: GenerationOptions,
    on_text: Callable[[str], None] | None = None,
) -> Draft:
    """The whole reply as a Draft, handing each piece to `on_text` as it comes.

    A draft is `truncated` when it stopped at `max_tokens`.
    """
    started = time.perf_counter()
    first = 0.0
    pieces: list[str] = []
    for piece in generator.generate(messages, options):
        if not pieces:
            first = time.perf_counter() - started
        pieces.append(piece)
        if on_text:
            on_text(piece)
    text = "".join(pieces)
    written = generator.count(text) if text else 0
    return Draft(
        text=text.strip(),
        model=generator.name,
        prompt_tokens=sum(generator.count(message.content) for message in messages),
        completion_tokens=written,
        first_token_seconds=first,
        seconds=time.perf_counter() - started,
        truncated=written >= options.max_tokens,
    )
