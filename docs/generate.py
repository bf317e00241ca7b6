"""Write the generated parts of the documentation: settings, commands, errors, formats, models.

Reads `ragkit.config`, the click commands, `ragkit.errors` and the loaders; knows nothing of the prose around them.
A generated part stands between `<!-- generated: NAME -->` and `<!-- end of NAME -->`; nothing outside is touched.

    python docs/generate.py            rewrite what is stale
    python docs/generate.py --check    exit 1 when something is stale, and change nothing
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from ragkit import config, errors, loaders
from ragkit.cli.common import Command
from ragkit.cli.main import COMMANDS, cli
from ragkit.models import catalogue

DOCS = Path(__file__).parent

_COMMON = {parameter.name for parameter in Command("none").params}


# ---------------------------------------------------------------- settings


def settings() -> str:
    """A table of settings for each section, in the order of the code."""
    parts: list[str] = []
    section = None
    for key, kind, default, help_ in config.describe():
        head, _, _ = key.rpartition(".")
        if head != section:
            section = head
            parts += ["", *_section_head(head), "", "| Setting | Type | Default | Meaning |", "|---|---|---|---|"]
        parts.append(f"| `{key}` | {_cell(kind)} | `{_value(default)}` | {_cell(help_)} |")
    return "\n".join(parts).strip()


def _section_head(section: str) -> list[str]:
    if not section:
        return ["### Settings outside any section"]
    about = inspect.getdoc(type(getattr(config.Settings(), section))) or ""
    return [f"### Settings of the section `[{section}]`", "", about]


def _value(default: object) -> str:
    return json.dumps(list(default) if isinstance(default, tuple) else default)


# ---------------------------------------------------------------- commands


def commands() -> str:
    """A section for each command: what it does, how it is called, its options."""
    root = click.Context(cli, info_name="ragkit")
    common = [parameter for parameter in Command("none").params if isinstance(parameter, click.Option)]
    parts = ["### Options that every command takes", "", *map(_option, common), ""]
    for name in COMMANDS:
        found = cli.get_command(root, name)
        if found is not None:
            parts += _command(found, name, root)
    return "\n".join(parts).strip()


def _command(command: click.Command, name: str, parent: click.Context) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent)
    path = context.command_path
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    yield from (f"### `{path}`", "", *_help(command), "", "```", usage, "```", "")
    if isinstance(command, click.Group):
        default = getattr(command, "default", "")
        if default:
            yield from (f"`{path}` alone is `{path} {default}`.", "")
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found is not None:
                yield from _command(found, inner, context)
        return
    own = [p for p in command.params if isinstance(p, click.Option) and p.name not in _COMMON and not p.hidden]
    if own:
        yield from (*map(_option, own), "")


def _help(command: click.Command) -> Iterator[str]:
    """The docstring's paragraphs; lines after a `\\b` are kept as they stand, in a code block."""
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b\n") and "\n" in paragraph[2:].strip():
            yield from ("", "```", paragraph[2:], "```")
        else:
            yield from ("", paragraph.removeprefix("\b\n"))


def _option(option: click.Option) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    context = click.Context(click.Command("none"))
    value = "" if option.is_flag or option.count else f" {option.make_metavar(context)}"
    value = value.replace(" INTEGER RANGE", " N").replace(" FLOAT RANGE", " X").replace(" INTEGER", " N")
    note = ""
    if option.show_default and option.default not in (None, ""):
        note = f" Default: `{option.default}`."
    return f"- `{names}{value}`: {(option.help or '').strip()}{note}"


# ---------------------------------------------------------------- formats


def formats() -> str:
    """Every format with the extensions that stand for it."""
    extensions: dict[str, list[str]] = {}
    for extension, loader in loaders.REGISTRY.items():
        extensions.setdefault(loader.partition(":")[0], []).append(f"`{extension}`")
    return "\n".join(f"- {name}: {', '.join(found)}" for name, found in extensions.items())


# ---------------------------------------------------------------- models


def models() -> str:
    """The catalogue: role, size, licence and description of every model."""
    rows = ["| Model | Role | Download | Licence | About |", "|---|---|---|---|---|"]
    for spec in catalogue.models():
        cells = (f"`{spec.name}`", spec.role, f"{spec.megabytes} MB", spec.licence, _cell(spec.about))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


# ---------------------------------------------------------------- errors


def error_table() -> str:
    """Every error class: its exit code, the kind it belongs to, its meaning."""
    rows = ["| Error | Exit code | A kind of | Meaning |", "|---|---|---|---|"]
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.RagkitError):
            base = kind.__mro__[1].__name__
            parent = "" if kind is errors.RagkitError else f"`{base}`"
            rows.append(f"| `{name}` | {kind.exit_code} | {parent} | {_cell(inspect.getdoc(kind) or '')} |")
    return "\n".join(rows)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


# ---------------------------------------------------------------- rows of imports


def rows() -> str:
    """The rows of tests/test_architecture.py, as a numbered list."""
    tree = ast.parse((DOCS.parent / "tests" / "test_architecture.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ROWS":
            found: list[set[str]] = ast.literal_eval(node.value)
            return "\n".join(
                f"{at}. {', '.join(f'`{name}`' for name in sorted(row))}" for at, row in enumerate(found, 1)
            )
    raise SystemExit("tests/test_architecture.py has no ROWS")


# ---------------------------------------------------------------- files

PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "configuration.md": {"settings": settings},
    "cli.md": {"commands": commands},
    "errors.md": {"errors": error_table},
    "formats.md": {"formats": formats},
    "models.md": {"models": models},
    "architecture.md": {"rows": rows},
}
"""File name to the generated parts that it holds."""


def fresh(name: str) -> str:
    """What the file of this name should hold now."""
    text = (DOCS / name).read_text(encoding="utf-8")
    for part, make in PARTS[name].items():
        begin, end = f"<!-- generated: {part} -->", f"<!-- end of {part} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if not pattern.search(text):
            raise SystemExit(f"{name}: no place for the generated part {part}; add the lines {begin} and {end}")
        body = f"{begin}\n\n{make()}\n\n{end}"
        text = pattern.sub(lambda _, body=body: body, text)
    return re.sub(r"\n{3,}", "\n\n", text)


def stale() -> list[str]:
    """Names of the files whose generated parts are out of date."""
    return [name for name in PARTS if fresh(name) != (DOCS / name).read_text(encoding="utf-8")]


def main(arguments: list[str]) -> int:
    """Rewrite what is stale, or only name it under --check."""
    found = stale()
    for name in found:
        if "--check" in arguments:
            print(f"docs/{name} is out of date; run `python docs/generate.py`", file=sys.stderr)
        else:
            (DOCS / name).write_text(fresh(name), encoding="utf-8")
            print(f"wrote docs/{name}", file=sys.stderr)
    return 1 if found and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
