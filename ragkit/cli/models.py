"""`ragkit models`: which models there are, and what is here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ragkit.cli.common import Group, State, emit, emit_lines, human_bytes, pass_state, progress_bars, table
from ragkit.cli.options import format_option

if TYPE_CHECKING:
    from ragkit.config import Settings
    from ragkit.models.catalogue import ModelSpec

ROLES = ["embedder", "reranker", "generator", "nli"]
_NAMES = click.argument("names", nargs=-1)


@click.group(cls=Group, default="list")
def models() -> None:
    """Models: list, pull, prepare, verify, path. Without names, those that the settings use."""


@models.command("list")
@click.option("--role", type=click.Choice(ROLES), help="Only these.")
@format_option("jsonl")
@pass_state
def list_(state: State, role: str | None, format_: str) -> None:
    """The catalogue, and what is here; an asterisk marks what the settings use."""
    from ragkit.models import catalogue

    used = {name for name, _ in state.settings.models_in_use}
    rows = [_row(spec, state.settings, spec.name in used) for spec in catalogue.models() if role in (None, spec.role)]
    if format_ == "json":
        emit({"models": rows})
    elif format_ == "jsonl":
        emit_lines(rows)
    else:
        shown = (
            [
                "*" if r["in_use"] else "",
                r["name"],
                r["role"],
                f"{r['megabytes']} MB",
                r["licence"],
                r["state"],
                r["about"],
            ]
            for r in rows
        )
        click.echo(table(shown, ["", "MODEL", "ROLE", "SIZE", "LICENCE", "STATE", "ABOUT"]))


@models.command()
@_NAMES
@click.option("--force", is_flag=True, help="Fetch anew, even what is here and sound.")
@pass_state
def pull(state: State, names: tuple[str, ...], force: bool) -> None:
    """Get models from the first source that has them, and accept them only if their sha256 matches."""
    from ragkit.models import catalogue, resolve

    settings = state.settings
    missing = []
    for name, _ in chosen(names, settings):
        if force or resolve.local(name, settings.models_directory) is None:
            missing.append(name)
        else:
            state.say(f"{name}: here already")
    fetched = [name for name in missing if not _is_built_of_what_is_here(catalogue.get(name), settings)]
    size = sum(catalogue.get(name).megabytes for name in fetched)
    if size:
        state.say(f"to download: {human_bytes(size * 1e6)} ({', '.join(fetched)})")
    for name in missing:
        with progress_bars(state) as progress:
            found = resolve.resolve(
                name,
                settings.models_directory,
                offline=settings.offline,
                hub_timeout_seconds=settings.models.hub_timeout_seconds,
                progress=progress,
                force=force,
            )
        state.say(f"{name}: verified, from {found.source}")
        for notice in found.notices:
            state.say(f"  {notice}")


@models.command()
@_NAMES
@click.option("--prefer", type=click.Choice(["speed", "fidelity"]), help="What to keep of the candidates.")
@click.option("--role", type=click.Choice(ROLES), help="What a model outside the catalogue is for.")
@click.option("--force", is_flag=True, help="Measure again, even when prepared already.")
@format_option()
@pass_state
def prepare(
    state: State, names: tuple[str, ...], prefer: str | None, role: str | None, force: bool, format_: str
) -> None:
    """Make models quick on this machine: export, quantise, measure, and keep the best candidate."""
    from ragkit.models.prepare import prepare as run

    state.override("models.prefer", prefer)
    settings = state.settings
    reports: list[dict[str, Any]] = []
    for name, purpose in chosen(names, settings, role or ""):
        with progress_bars(state) as progress:
            prepared = run(
                name,
                purpose,
                settings.models_directory,
                prefer=settings.models.prefer,
                offline=settings.offline,
                hub_timeout_seconds=settings.models.hub_timeout_seconds,
                threads=settings.thread_count,
                progress=progress,
                force=force,
            )
        for notice in prepared.notices:
            state.say(notice)
        reports.append({"name": name, "path": str(prepared.path), "manifest": prepared.manifest})
        if format_ == "text":
            click.echo(f"{name}: {prepared.path}")
    if format_ == "json":
        emit({"models": reports})


@models.command()
@_NAMES
@format_option()
@pass_state
def verify(state: State, names: tuple[str, ...], format_: str) -> int:
    """Compare the sha256 of every file that is here. Exits 1 when one is wrong."""
    from ragkit.errors import ModelNotFound, RagkitError
    from ragkit.models import resolve

    rows: list[dict[str, Any]] = []
    for name, _ in chosen(names, state.settings):
        try:
            found = resolve.verify(name, state.settings.models_directory)
        except ModelNotFound as error:
            rows.append({"name": name, "ok": None, "detail": str(error)})
        except RagkitError as error:
            rows.append({"name": name, "ok": False, "detail": str(error)})
        else:
            rows.append({"name": name, "ok": True, "detail": f"{len(found.files)} files match, from {found.source}"})
    if format_ == "json":
        emit({"models": rows})
    else:
        spelled = {True: "ok", False: "WRONG", None: "not here"}
        click.echo(table([spelled[r["ok"]], r["name"], r["detail"]] for r in rows))
    return 1 if any(row["ok"] is False for row in rows) else 0


@models.command()
@click.argument("name", default="")
@pass_state
def path(state: State, name: str) -> None:
    """Print the folder of a model's files, or of all models."""
    from ragkit.errors import ModelNotFound
    from ragkit.models import resolve

    directory = state.settings.models_directory
    if not name:
        click.echo(directory)
        return
    found = resolve.local(name, directory)
    if found is None:
        raise ModelNotFound(f"model {name} is not on this machine", f"run `ragkit models pull {name}`")
    click.echo(found.directory)


def _is_built_of_what_is_here(spec: ModelSpec, settings: Settings) -> bool:
    """Whether nothing has to be downloaded for a model that ragkit trained."""
    from ragkit.models import resolve

    bases = [source.base for source in spec.sources if source.kind == "built"]
    return any(resolve.local(base, settings.models_directory) is not None for base in bases)


def chosen(names: tuple[str, ...], settings: Settings, role: str = "") -> list[tuple[str, str]]:
    """(name, role) of the models named, or of those in use; a file that ends in .gguf is a generator."""
    if not names:
        return settings.models_in_use
    from ragkit.models import catalogue

    known = dict(settings.models_in_use)
    specs = [(name, catalogue.get(name)) for name in names]
    return [
        (name, role or spec.role or known.get(name) or ("generator" if name.endswith(".gguf") else "embedder"))
        for name, spec in specs
    ]


def _row(spec: ModelSpec, settings: Settings, used: bool) -> dict[str, Any]:
    from ragkit.models import resolve

    here = resolve.local(spec.name, settings.models_directory) is not None
    return {
        "name": spec.name,
        "role": spec.role,
        "megabytes": spec.megabytes,
        "licence": spec.licence,
        "state": "here" if here else "-",
        "in_use": used,
        "sources": [str(source) for source in spec.sources],
        "about": spec.about,
    }
