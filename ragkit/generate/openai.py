"""Any OpenAI-compatible chat endpoint: the door of httpx.

Knows HTTP and server-sent events; knows nothing of sources or prompts. The key goes into one header and
into no message, log line or error.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from ragkit.domain import JSON
from ragkit.domain.answers import GenerationOptions, Message
from ragkit.errors import GenerationError, ModelNotFound, OfflineError, SettingsError

_CONTROL = re.compile(r"<\|(?=[A-Za-z0-9_▁]{1,40}\|>)")
_DONE = "[DONE]"


class _Refused(GenerationError):
    """The server understood the request, and would not have it."""


class OpenAIGenerator:
    """A model behind `base_url`/chat/completions, streamed."""

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str = "",
        timeout_seconds: float = 120.0,
        context_tokens: int = 4096,
        offline: bool = False,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(
                f"generate.base_url {base_url!r} is not an http address",
                "give one such as http://127.0.0.1:8080/v1",
            )
        if offline and not is_loopback(parts.hostname):
            raise OfflineError(
                f"generate.base_url points to {parts.hostname} and offline mode is on",
                "set offline = false, use a server on this machine, or generate.backend = llama",
            )
        self.name = model
        self.context_tokens = context_tokens
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._shown = f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._timeout_seconds = timeout_seconds
        self._older = False

    def count(self, text: str) -> int:
        """An estimate, on the high side: three ASCII characters or one other character to a token."""
        ascii_characters = sum(character < "\x80" for character in text)
        return -(-ascii_characters // 3) + len(text) - ascii_characters

    def generate(self, messages: Sequence[Message], settings: GenerationOptions) -> Iterator[str]:
        """Stream the reply. Raises GenerationError or ModelNotFound, naming the server and the reason."""
        try:
            yield from self._stream(self._body(messages, settings))
        except _Refused:
            if not settings.choices or self._older:
                raise
            self._older = True  # llama-cpp-python's server knows schemas by their older form alone
            yield from self._stream(self._body(messages, settings))

    def _stream(self, body: Mapping[str, JSON]) -> Iterator[str]:
        import httpx

        timeout = httpx.Timeout(self._timeout_seconds)
        # Proxies of the environment are not trusted with a server on this machine.
        client = httpx.Client(timeout=timeout, headers=self._headers, trust_env=not is_loopback(self._host))
        try:
            with client, client.stream("POST", self._url, json=body) as response:
                if response.status_code != 200:
                    response.read()
                    raise self._refused(response.status_code, response.text)
                yield from self._pieces(response.iter_lines())
        except httpx.ConnectError as error:
            raise GenerationError(
                f"no server answers at {self._shown}: {error}", "start it, or correct generate.base_url"
            ) from error
        except httpx.TimeoutException as error:
            raise GenerationError(
                f"the server at {self._shown} did not answer within {self._timeout_seconds:g} s",
                "raise generate.timeout_seconds, or use a smaller model",
            ) from error
        except httpx.HTTPError as error:
            raise GenerationError(
                f"the server at {self._shown} broke off: {error}", "look at the server's log"
            ) from error

    @property
    def _host(self) -> str:
        return urlsplit(self._url).hostname or ""

    def _body(self, messages: Sequence[Message], settings: GenerationOptions) -> dict[str, JSON]:
        body: dict[str, JSON] = {
            "model": self.name,
            "messages": [{"role": m.role, "content": _CONTROL.sub("< |", m.content)} for m in messages],
            "max_tokens": settings.max_tokens,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "seed": settings.seed,
            "stream": True,
        }
        if settings.stop:
            body["stop"] = list(settings.stop)
        if settings.choices:
            body["response_format"] = _one_of(settings.choices, older=self._older)
        return body

    def _pieces(self, lines: Iterator[str]) -> Iterator[str]:
        finished = False
        for line in lines:
            if not line.startswith("data:"):
                continue  # comments, event names and blank lines of the stream
            data = line[len("data:") :].strip()
            if data == _DONE:
                finished = True
                break
            event = self._event(data)
            for choice in event.get("choices") or ():
                text = (choice.get("delta") or {}).get("content")
                finished = finished or bool(choice.get("finish_reason"))
                if text:
                    yield text
        if not finished:
            raise GenerationError(
                f"the stream of {self._shown} ended before the answer did", "look at the server's log"
            )

    def _event(self, data: str) -> Mapping[str, Any]:
        try:
            event = json.loads(data)
        except ValueError as error:
            raise self._malformed(data) from error
        if not isinstance(event, dict):
            raise self._malformed(data)
        if "error" in event:
            raise GenerationError(f"the server at {self._shown} reports: {_reason(data)}", "look at the server's log")
        return event

    def _malformed(self, data: str) -> GenerationError:
        return GenerationError(
            f"the stream of {self._shown} is not OpenAI's: {data[:80]!r}", "check that generate.base_url ends in /v1"
        )

    def _refused(self, status: int, body: str) -> GenerationError | ModelNotFound:
        reason = _reason(body)
        if status in (401, 403):
            return GenerationError(
                f"the server at {self._shown} refused the key ({status})",
                "put a valid one into the variable that generate.api_key_env names",
            )
        if status == 404:
            return ModelNotFound(
                f"the server at {self._shown} knows no model {self.name}, or not this address: {reason}",
                "correct generate.model or generate.base_url",
            )
        return _Refused(f"the server at {self._shown} answered {status}: {reason}", "look at the server's log")


def _one_of(choices: Sequence[str], *, older: bool) -> dict[str, JSON]:
    """What asks a server for nothing but one of the choices, as OpenAI, llama.cpp, vLLM and Ollama understand it, or
    in the older form of llama-cpp-python."""
    schema = {
        "type": "object",
        "properties": {"reply": {"type": "string", "enum": list(choices)}},
        "required": ["reply"],
        "additionalProperties": False,
    }
    if older:
        return {"type": "json_object", "schema": schema}
    return {"type": "json_schema", "json_schema": {"name": "reply", "strict": True, "schema": schema}}


def is_loopback(host: str) -> bool:
    """Whether a host name means this machine.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("example.org")
    (True, True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reason(body: str) -> str:
    """What an error reply says, in one short line."""
    try:
        error = json.loads(body)
        error = error.get("error", error) if isinstance(error, dict) else error
        text = error.get("message", "") if isinstance(error, dict) else str(error)
    except ValueError:
        text = body
    return " ".join(str(text).split())[:200] or "no reason given"
