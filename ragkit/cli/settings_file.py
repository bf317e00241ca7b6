"""Change values in a ragkit.toml without touching anything else that a person wrote there.

Knows the lines of simple TOML: tables, keys, values on one line, comments. What it writes is read back and compared
with what was meant, so that a file it does not understand is refused and never damaged.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ragkit.domain import JSON
from ragkit.errors import SettingsError
from ragkit.files import write_whole

_TABLE = re.compile(r"\s*\[\s*([\w.-]+)\s*\]\s*(?:#.*)?$")


def change(file: Path, values: Mapping[str, JSON]) -> None:
    """Set values by their full path in a settings file, which is made when it is not there.

    Raises SettingsError when the file cannot be changed line by line, or is no TOML.
    """
    try:
        old = file.read_text(encoding="utf-8") if file.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"settings file {file} cannot be read: {error}") from error
    new = changed(old, values)
    try:
        wanted = _with(tomllib.loads(old), values)
        understood = tomllib.loads(new) == wanted
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"settings file {file} is not valid TOML: {error}", "correct that line") from error
    if not understood:
        lines = ", ".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
        raise SettingsError(
            f"settings file {file} is written in a way that cannot be changed", f"write by hand {lines}"
        )
    write_whole(file, new.encode())


def changed(text: str, values: Mapping[str, JSON]) -> str:
    r"""The text with the values in it; a value that was there is replaced, and its comment stays.

    >>> changed("[a]\nb = 1  # why\n\n[c]\nd = 2\n", {"a.b": 3, "a.e": 4, "f.g": 0.5})
    '[a]\nb = 3  # why\ne = 4\n\n[c]\nd = 2\n\n[f]\ng = 0.5\n'
    """
    lines = text.splitlines()
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        lines = _set(lines, section, name, json.dumps(value))
    return "\n".join(lines) + "\n"


def _set(lines: list[str], section: str, name: str, value: str) -> list[str]:
    first, last = _table(lines, section)
    spelled = ((first, last, name), (0, _table(lines, "")[1], f"{section}.{name}"))
    for start, end, key in spelled:
        pattern = re.compile(rf"(\s*{re.escape(key)}\s*=\s*)([^#\"'\[]+?|\"[^\"]*\"|'[^']*')(\s*(?:#.*)?)$")
        for at in range(start, end):
            if match := pattern.match(lines[at]):
                return [*lines[:at], f"{match[1]}{value}{match[3]}", *lines[at + 1 :]]
    if first == last and section and not any(_is_table(line, section) for line in lines):
        return [*lines, *([""] if lines and lines[-1].strip() else []), f"[{section}]", f"{name} = {value}"]
    at = _behind(lines, first, last, name)
    return [*lines[:at], f"{name} = {value}", *lines[at:]]


def _behind(lines: list[str], first: int, last: int, name: str) -> int:
    """Where a new key goes: below its commented default, or behind the last line of its table."""
    for at in range(first, last):
        if re.match(rf"\s*#\s*{re.escape(name)}\s*=", lines[at]):
            return at + 1
    while last > first and not lines[last - 1].strip():
        last -= 1
    return last


def _table(lines: list[str], section: str) -> tuple[int, int]:
    """The lines [first, last) of a table, without its header; of the top for ""."""
    first = 0
    if section:
        first = next((at + 1 for at, line in enumerate(lines) if _is_table(line, section)), len(lines))
    last = next((at for at in range(first, len(lines)) if lines[at].lstrip().startswith("[")), len(lines))
    return first, last


def _is_table(line: str, section: str) -> bool:
    match = _TABLE.match(line)
    return bool(match and match[1] == section)


def _with(data: Mapping[str, Any], values: Mapping[str, JSON]) -> dict[str, Any]:
    """What a file should hold after the change."""
    found: dict[str, Any] = {key: dict(value) if isinstance(value, dict) else value for key, value in data.items()}
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        (found.setdefault(section, {}) if section else found)[name] = value
    return found
