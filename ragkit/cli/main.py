"""The `ragkit` command: finds the commands, runs one, and turns errors into one clear message and an exit code.

Commands are imported when they are used, so that `ragkit --help` stays quick.
"""

from __future__ import annotations

import errno
import gc
import importlib
import os
import sys

import click

import ragkit
from ragkit.cli.common import Group, State, show_error
from ragkit.errors import INTERRUPTED, RagkitError, StoreError

COMMANDS = {
    "ingest": "ragkit.cli.ingest:ingest",
    "ask": "ragkit.cli.ask:ask",
    "chat": "ragkit.cli.ask:chat",
    "search": "ragkit.cli.search:search",
    "show": "ragkit.cli.search:show",
    "corpus": "ragkit.cli.corpus:corpus",
    "models": "ragkit.cli.models:models",
    "eval": "ragkit.cli.eval:eval_",
    "tune": "ragkit.cli.tune:tune",
    "why-not": "ragkit.cli.why_not:why_not",
    "config": "ragkit.cli.config:config",
    "doctor": "ragkit.cli.doctor:doctor",
}


class LazyGroup(Group):
    """A group that imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now, or None."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest names in the message when there is no such command."""
        if args and args[0] not in COMMANDS:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=2)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise click.UsageError(f"No such command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(ragkit.__version__, prog_name="ragkit")
def cli() -> None:
    """Answers questions about a folder of documentation, on this machine, with the lines that prove it.

    \b
    ragkit ingest docs/                 read a folder
    ragkit ask "how do I ...?"          an answer, each sentence cited
    ragkit search "error message"       the passages themselves

    \b
    Exit codes: 0 answered or done, 1 error, 2 usage,
    3 not in the documentation, 4 some claim unsupported,
    5 gate failed, 130 interrupted.
    """


def main(args: list[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code."""
    # Imports make some 500,000 objects that live until the end; looking for garbage among them costs 0.1 s.
    gc.set_threshold(200_000, 20, 20)
    state = State()
    try:
        code = cli.main(args, prog_name="ragkit", obj=state, standalone_mode=False)
        sys.stdout.flush()
    except (click.Abort, KeyboardInterrupt):
        click.echo("ragkit: interrupted; what was finished is kept", err=True)
        code = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        code = _fail(error, state)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(error: Exception, state: State) -> int:
    """Show one error; the exit code that it means."""
    if state.debug and not isinstance(error, click.ClickException):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    known = _translate(error)
    if known is not None:
        show_error(known)
        return known.exit_code
    click.echo(f"ragkit: internal error: {type(error).__name__}: {error}", err=True)
    click.echo("  try: run it again with --debug and report what it prints", err=True)
    return 1


def _translate(error: Exception) -> RagkitError | None:
    if isinstance(error, RagkitError):
        return error
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        if error.errno == errno.ENOSPC:
            return StoreError(f"no space left on the disk{where}", "free some space and run the command again")
        return RagkitError(f"{error.strerror or error}{where}")
    if isinstance(error, MemoryError):
        return RagkitError("out of memory", "close other programs or use a smaller model (`ragkit models list`)")
    return None
