"""GGUF models in this process: the door of llama_cpp.

Knows tokens, chat templates and the window; knows nothing of sources or prompts. Nothing is printed by
llama.cpp: its log is kept, and its last errors become part of ours.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ragkit.domain.answers import GenerationOptions, Message
from ragkit.errors import GenerationError, ModelCorrupt, ModelNotFound, ModelUnsuitable

MAGIC = b"GGUF"
BATCH = 512
_CONTROL = 1 << 3  # LLAMA_TOKEN_ATTR_CONTROL
_LEVEL_ERROR, _LEVEL_CONTINUES = 3, 5

_log: deque[str] = deque(maxlen=20)
_listener: Any = None  # llama.cpp keeps a pointer to it


class LlamaGenerator:
    """One GGUF model, loaded once. Calls are served one at a time; a dropped stream stops between two tokens.

    What a prompt has in common with the one before it is not computed again.
    """

    def __init__(self, path: Path, name: str = "", *, context_tokens: int = 4096, threads: int = 0) -> None:
        self.name = name or path.stem
        self._path = path
        self._lock = threading.Lock()
        self._model = _load(path, self.name, context_tokens, threads)
        trained = self._trained_tokens()
        self.context_tokens = min(self._model.n_ctx(), trained) if trained else self._model.n_ctx()
        self._format = self._formatter()
        self._special = self._special_texts()

    def count(self, text: str) -> int:
        """Tokens of `text`, without a beginning-of-sequence token."""
        return len(self._model.tokenize(text.encode("utf-8", "replace"), add_bos=False, special=False))

    def generate(self, messages: Sequence[Message], settings: GenerationOptions) -> Iterator[str]:
        """Stream the reply. Raises ModelUnsuitable before anything is computed when the window is too small."""
        prompt, stops = self._prompt(messages)
        room = self.context_tokens - len(prompt)
        if room < settings.max_tokens:
            raise ModelUnsuitable(
                f"the prompt takes {len(prompt)} tokens and the answer up to {settings.max_tokens}, "
                f"but the window of {self.name} holds {self.context_tokens}",
                "lower context.budget_tokens or generate.max_tokens, or raise generate.context_tokens",
            )
        with self._lock:
            yield from self._stream(prompt, settings, stops)

    def log_odds(self, messages: Sequence[Message], yes: str, no: str) -> float:
        """ln(P(yes) / P(no)) for the first token of the reply, the spellings of each taken together; one prefill.

        Raises ModelUnsuitable when the prompt does not fit into the window.
        """
        import numpy as np

        prompt, _ = self._prompt(messages)
        if len(prompt) > self.context_tokens:
            raise ModelUnsuitable(
                f"the prompt takes {len(prompt)} tokens, but the window of {self.name} holds {self.context_tokens}",
                "raise generate.context_tokens",
            )
        with self._lock:
            model = self._model
            shared = model.longest_token_prefix(model.input_ids[: model.n_tokens].tolist(), prompt[:-1])
            model.n_tokens = shared
            try:
                model.eval(prompt[shared:])
                pointer = model._ctx.get_logits_ith(-1)
            except (RuntimeError, ValueError) as error:
                model.reset()
                raise GenerationError(f"{self.name} failed while reading: {error}{_last_words()}") from error
            logits = np.ctypeslib.as_array(pointer, shape=(model.n_vocab(),)).astype(np.float64)
        said, denied = (np.logaddexp.reduce(logits[self._first_tokens(word)]) for word in (yes, no))
        return float(said - denied)

    def _first_tokens(self, word: str) -> list[int]:
        """The first token of a word in each of its usual spellings."""
        spellings = {f"{blank}{w}" for blank in ("", " ") for w in (word, word.lower(), word.upper())}
        return sorted({self._model.tokenize(s.encode(), add_bos=False, special=False)[0] for s in sorted(spellings)})

    def close(self) -> None:
        """Free the model's memory."""
        with self._lock:
            self._model.close()

    def _stream(self, prompt: list[int], settings: GenerationOptions, stops: Sequence[str]) -> Iterator[str]:
        reply = self._model.create_completion(
            prompt,
            max_tokens=settings.max_tokens,
            temperature=settings.temperature,
            top_k=settings.top_k,
            top_p=settings.top_p,
            seed=settings.seed,
            stop=[*settings.stop, *stops],
            grammar=_grammar(settings.choices) if settings.choices else None,
            stream=True,
        )
        try:
            for part in reply:
                text = part["choices"][0]["text"]
                if text:
                    yield text
        except (RuntimeError, ValueError) as error:
            raise GenerationError(f"{self.name} failed while writing: {error}{_last_words()}") from error
        finally:
            reply.close()

    def _prompt(self, messages: Sequence[Message]) -> tuple[list[int], list[str]]:
        """The tokens of the conversation in the model's chat template, and its stop strings.

        Control tokens spelt out inside a message stay text: a document cannot end its turn.
        """
        turns = [{"role": m.role, "content": self._special.sub(_defuse, m.content)} for m in messages]
        try:
            formatted = self._format(messages=turns)
        except Exception as error:  # templates raise whatever they like
            raise ModelUnsuitable(
                f"the chat template of {self.name} refused the messages: {error}", "choose another generate.model"
            ) from error
        tokens = self._model.tokenize(
            formatted.prompt.encode("utf-8", "replace"), add_bos=not formatted.added_special, special=True
        )
        stop = formatted.stop or []
        return tokens, [stop] if isinstance(stop, str) else list(stop)

    def _formatter(self) -> Any:
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        template = self._model.metadata.get("tokenizer.chat_template")
        if not template:
            raise ModelUnsuitable(
                f"{self.name} has no chat template, so it was not trained to answer",
                "choose an instruct model for generate.model",
            )
        pieces = self._model._model
        eos, bos = self._model.token_eos(), self._model.token_bos()
        return Jinja2ChatFormatter(
            template,
            eos_token=pieces.token_get_text(eos) if eos != -1 else "",
            bos_token=pieces.token_get_text(bos) if bos != -1 else "",
            stop_token_ids=[eos],
        )

    def _special_texts(self) -> re.Pattern[str]:
        vocabulary = self._model._model
        texts = (
            vocabulary.token_get_text(token)
            for token in range(self._model.n_vocab())
            if vocabulary.token_get_attr(token) & _CONTROL
        )
        return re.compile(
            "|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True) if text) or r"\Z."
        )

    def _trained_tokens(self) -> int:
        return next((int(v) for k, v in self._model.metadata.items() if k.endswith(".context_length")), 0)


def _defuse(match: re.Match[str]) -> str:
    """A control token's spelling with a space in it: the same to a reader, plain text to the model.

    >>> _defuse(re.match(".*", "<|im_end|>"))
    '< |im_end|>'
    """
    return f"{match[0][0]} {match[0][1:]}"


def _grammar(choices: Sequence[str]) -> Any:
    """A grammar under which nothing but one of the choices can be written."""
    from llama_cpp.llama_grammar import LlamaGrammar

    return LlamaGrammar.from_string(gbnf(choices), verbose=False)


def gbnf(choices: Sequence[str]) -> str:
    """The choices as a grammar in llama.cpp's notation.

    >>> gbnf(["Yes", 'say "no"'])
    'root ::= "Yes" | "say \\\\"no\\\\""'
    """
    return "root ::= " + " | ".join(json.dumps(choice) for choice in choices)


def _load(path: Path, name: str, context_tokens: int, threads: int) -> Any:
    """A llama_cpp.Llama. Raises ModelNotFound, ModelCorrupt or ModelUnsuitable."""
    hint = f"run `ragkit models verify {name}`, then `ragkit models pull {name}`"
    try:
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
    except OSError as error:
        raise ModelNotFound(f"model file {path} cannot be read: {error.strerror}", hint) from error
    if magic != MAGIC:
        raise ModelCorrupt(f"{path} is not a GGUF file: it starts with {magic!r}", hint)
    llama_cpp = _door()
    try:
        return llama_cpp.Llama(
            model_path=str(path),
            n_ctx=context_tokens,
            n_batch=BATCH,
            n_ubatch=BATCH,
            n_threads=threads or None,
            n_threads_batch=threads or None,
            flash_attn=True,
            no_perf=True,
            verbose=False,
        )
    except (ValueError, RuntimeError, AssertionError) as error:
        raise ModelCorrupt(f"llama.cpp cannot load {path}{_last_words() or f': {error}'}", hint) from error


def _door() -> Any:
    """llama_cpp, its log caught before it can reach stderr, its threads told to sleep while they wait."""
    global _listener
    with _environment("OMP_WAIT_POLICY", "passive"):
        import llama_cpp

    if _listener is None:
        level = 0

        def listen(now: int, text: bytes, _: Any) -> None:
            nonlocal level
            level = level if now == _LEVEL_CONTINUES else now
            if level >= _LEVEL_ERROR and level != 4:
                _log.append(text.decode("utf-8", "replace").strip())

        _listener = llama_cpp.llama_log_callback(listen)
        llama_cpp.llama_log_set(_listener, ctypes.c_void_p(0))
    _log.clear()
    return llama_cpp


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """A variable that a library reads while it is loaded, unless the user has set it.

    Threads that spin while they wait for one another bring llama.cpp to a halt on a machine that does anything else:
    on two cores with other work, 40 tokens took 18 to 29 s spinning and 1 s sleeping.
    """
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


def _last_words() -> str:
    """The first error that llama.cpp logged, as it names the cause; "" if it logged none."""
    return next((f": {line}" for line in _log if line), "")
