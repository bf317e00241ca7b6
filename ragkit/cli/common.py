"""What every command shares: its state, its common flags, how it prints data, progress and errors.

Knows click and the terminal; knows nothing of what the commands do.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import click

from ragkit.errors import RagkitError
from ragkit.evaluation.tables import aligned

if TYPE_CHECKING:
    from ragkit.config import Loaded, Settings
    from ragkit.domain import Progress
    from ragkit.engine import Engine

F = TypeVar("F", bound=Callable[..., Any])


class State:
    """Flags common to all commands, and the settings and engine that follow from them, made when asked for."""

    def __init__(self) -> None:
        self.config: Path | None = None
        self.overrides: dict[str, Any] = {}
        self.quiet = False
        self.verbose = False
        self.debug = False
        self._loaded: Loaded | None = None

    @property
    def loaded(self) -> Loaded:
        """Settings with their origins."""
        if self._loaded is None:
            from ragkit import config

            self._loaded = config.load(self.config or config.find_project_file(), overrides=self.overrides)
        return self._loaded

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.loaded.settings

    def override(self, key: str, value: Any) -> None:
        """Set one setting for this command; None changes nothing."""
        if value is not None:
            self.overrides[key] = value
            self._loaded = None

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """The engine over the settings in force, closed at the end."""
        from ragkit.engine import Engine

        with progress_bars(self) as progress, Engine(self.settings, progress=progress) as engine:
            yield engine

    def say(self, text: str) -> None:
        """A notice on stderr, unless --quiet."""
        if not self.quiet:
            click.echo(text, err=True)


def pass_state(function: F) -> F:
    """Hand the command its State as first argument."""
    decorated: F = click.make_pass_decorator(State, ensure=True)(function)  # type: ignore[assignment]
    return decorated


def _set_overrides(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> None:
    state = ctx.ensure_object(State)
    for value in values:
        key, equals, setting = value.partition("=")
        if not equals:
            raise click.BadParameter(f"{value!r} is not of the form section.key=value", ctx, param)
        state.override(key.strip(), setting.strip())


def _set_flag(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def store(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if value:
            setattr(ctx.ensure_object(State), name, value)

    return store


def _set_offline(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(State).override("offline", True)


def _common_options() -> list[click.Option]:
    def option(*names: str, **kwargs: Any) -> click.Option:
        return click.Option(names, expose_value=False, is_eager=True, **kwargs)

    return [
        option(
            "--config",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            callback=_set_flag("config"),
            help="Settings file instead of the nearest ragkit.toml.",
        ),
        option(
            "-s",
            "--set",
            multiple=True,
            metavar="KEY=VALUE",
            callback=_set_overrides,
            help="Change a setting, such as retrieve.limit=5. May be repeated.",
        ),
        option("--offline", is_flag=True, callback=_set_offline, help="Refuse every connection to another machine."),
        option("-q", "--quiet", is_flag=True, callback=_set_flag("quiet"), help="No notices and no progress."),
        option("-v", "--verbose", is_flag=True, callback=_set_flag("verbose"), help="Say more on stderr."),
        option("--debug", is_flag=True, callback=_set_flag("debug"), help="Show the traceback of an error."),
    ]


class Command(click.Command):
    """A command that also takes the common flags, after its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *_common_options()]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """What is asked for may be an option of the documented program."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if not any(isinstance(one, click.Argument) and one.name in ("query", "question") for one in self.params):
                raise
            told = f"{error.message} If it is what you ask for, write `{ctx.command_path} -- {error.option_name}`."
            raise click.NoSuchOption(error.option_name, told, error.possibilities, ctx) from error


class Group(click.Group):
    """A noun: a group whose commands take the common flags, and which may run a default command when bare."""

    command_class = Command

    def __init__(self, *args: Any, default: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.default = default
        self.params = [*self.params, *_common_options()]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """A bare noun, or one followed by flags only, runs its default command."""
        bare = not args or (args[0].startswith("-") and not any(arg in self.commands for arg in args))
        if self.default and bare and not any(name in args for name in ctx.help_option_names):
            args = [self.default, *args]
        return super().parse_args(ctx, args)


def emit(data: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(data, ensure_ascii=False, indent=2))


def emit_lines(rows: Iterable[Any]) -> None:
    """One JSON value a line on stdout."""
    for row in rows:
        click.echo(json.dumps(row, ensure_ascii=False))


def table(rows: Iterable[Iterable[Any]], header: Iterable[str] = ()) -> str:
    """Columns padded to their widest cell; numbers are not aligned apart."""
    cells = [*([header] if header else []), *rows]
    return "\n".join(aligned([[str(cell) for cell in row] for row in cells]))


def color_wanted(stream: IO[Any] | None = None) -> bool:
    """Whether to colour `stream` (stdout): a terminal, and NO_COLOR not set."""
    return not os.environ.get("NO_COLOR") and (stream or sys.stdout).isatty()


def terminal_width() -> int:
    """Columns to wrap to when stdout is a terminal; 0, which wraps nothing, when it is not."""
    import shutil

    return min(shutil.get_terminal_size().columns, 100) if sys.stdout.isatty() else 0


def human_bytes(count: float) -> str:
    """A size for people.

    >>> human_bytes(491400064), human_bytes(900)
    ('491 MB', '900 B')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit != "GB" else f"{count:.1f} GB"
        count /= 1000
    raise AssertionError("unreachable")


class Pace:
    """How many a second, over the last two minutes: what an earlier run had computed is counted all at once.

    >>> pace = Pace()
    >>> pace.at(0.0, 0), pace.at(1.0, 100), pace.at(121.0, 160), pace.at(181.0, 190)
    (0.0, 100.0, 0.5, 0.5)
    """

    SECONDS = 120.0

    def __init__(self) -> None:
        self._past: deque[tuple[float, int]] = deque()

    def at(self, now: float, done: int) -> float:
        """The pace now that `done` are done; 0 at the first call."""
        self._past.append((now, done))
        while len(self._past) > 2 and now - self._past[1][0] >= self.SECONDS:
            self._past.popleft()
        began, before = self._past[0]
        return (done - before) / (now - began) if now > began else 0.0


def _roughly(seconds: float) -> str:
    """
    >>> _roughly(75), _roughly(1800)
    ('75 s', '30 min')
    """
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


class _Bars:
    """Progress as a bar on a terminal, and as a line every few seconds elsewhere."""

    LINE_SECONDS = 5.0

    def __init__(self) -> None:
        self._bar: Any = None
        self._what = ""
        self._said = time.monotonic()
        self._pace = Pace()

    def __call__(self, what: str, done: int, total: int) -> None:
        if sys.stderr.isatty():
            self._draw(what, done, total)
        else:
            self._line(what, done, total)

    def _draw(self, what: str, done: int, total: int) -> None:
        from tqdm import tqdm

        if what != self._what or self._bar is None:
            self.close()
            scale = total >= 1_000_000
            self._bar = tqdm(total=total or None, desc=what, unit="B" if scale else "", unit_scale=scale, leave=False)
            self._what = what
        self._bar.total = total or None
        self._bar.update(done - self._bar.n)  # its pace is that of the last steps
        self._bar.refresh()

    def _line(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if what != self._what:
            self._what, self._said = what, now
            self._pace = Pace()
            self._pace.at(now, done)
        if now - self._said < self.LINE_SECONDS:
            return
        self._said = now
        rate = self._pace.at(now, done)
        bytes_ = total >= 1_000_000
        of = f" of {human_bytes(total) if bytes_ else total}" if total else ""
        parts = [f"{human_bytes(rate) if bytes_ else f'{rate:.0f}'}/s"] if rate >= 1 else []
        parts += [f"{_roughly((total - done) / rate)} left"] if rate > 0 and total > done else []
        shown = f" ({', '.join(parts)})" if parts else ""
        click.echo(f"{what}: {human_bytes(done) if bytes_ else done}{of}{shown}", err=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


@contextmanager
def progress_bars(state: State) -> Iterator[Progress]:
    """A Progress callback for long work; silent under --quiet."""
    if state.quiet:
        yield lambda what, done, total: None
        return
    bars = _Bars()
    try:
        yield bars
    finally:
        bars.close()


def show_error(error: RagkitError) -> None:
    """One error on stderr: what and why, then what to do."""
    click.echo(f"ragkit: {error.message}", err=True)
    if error.hint:
        click.echo(f"  try: {error.hint}", err=True)
