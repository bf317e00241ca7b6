"""`ragkit config`: what the settings are, and where each value came from."""

from __future__ import annotations

import click

from ragkit.cli.common import Group, State, emit, pass_state, table
from ragkit.cli.options import format_option


@click.group(cls=Group, default="show")
def config() -> None:
    """Settings and where each came from."""


@config.command()
@click.argument("prefix", default="")
@format_option()
@pass_state
def show(state: State, prefix: str, format_: str) -> None:
    """Print every setting, its value and its origin; PREFIX narrows to a section."""
    from ragkit import config as settings

    loaded = state.loaded
    rows = [
        {
            "key": key,
            "value": settings.get(loaded.settings, key),
            "default": default,
            "origin": loaded.origins.get(key, "default"),
            "type": kind,
            "help": help_,
        }
        for key, kind, default, help_ in settings.describe()
        if key.startswith(prefix)
    ]
    if format_ == "json":
        emit({"file": str(loaded.file) if loaded.file else None, "settings": rows})
    else:
        click.echo(table(([r["key"], _toml(r["value"]), r["origin"]] for r in rows), ["SETTING", "VALUE", "ORIGIN"]))


@config.command()
@pass_state
def path(state: State) -> None:
    """Print the folders and the settings file in use."""
    from ragkit import config as settings

    loaded = state.loaded
    rows = [
        ("settings", loaded.file or f"none (defaults; a {settings.PROJECT_FILE} here or above would be read)"),
        ("home", settings.home()),
        ("store", loaded.settings.store_directory),
        ("models", loaded.settings.models_directory),
    ]
    click.echo(table(rows))


@config.command()
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def init(force: bool) -> None:
    """Write a ragkit.toml here, with every setting, its default and its meaning, commented out."""
    from pathlib import Path

    from ragkit import config as settings
    from ragkit.errors import UsageError

    target = Path(settings.PROJECT_FILE)
    if target.exists() and not force:
        raise UsageError(f"{target} exists already", "edit it, or pass --force to overwrite it")
    target.write_text(template(), encoding="utf-8")
    click.echo(f"wrote {target}", err=True)


def template() -> str:
    """The text of a ragkit.toml in which every line is a comment."""
    from ragkit import config as settings

    lines = ["# ragkit settings. Remove the # in front of what you change. Paths are relative to this file."]
    section = ""
    for key, kind, default, help_ in settings.describe():
        table_, _, name = key.rpartition(".")
        if table_ != section:
            section = table_
            lines += ["", f"[{table_}]"]
        lines += [f"# {help_} ({kind})", f"# {name} = {_toml(default)}"]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    import json

    if isinstance(value, tuple):
        return json.dumps(list(value))
    return json.dumps(value)
