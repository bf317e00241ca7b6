"""`ragkit doctor`: is everything in order, and if not, which command repairs it."""

from __future__ import annotations

import click

from ragkit.cli.common import Command, State, emit, pass_state
from ragkit.cli.options import format_option


@click.command(cls=Command)
@click.option("--deep", is_flag=True, help="Also compare every file's sha256; takes longer.")
@format_option()
@pass_state
def doctor(state: State, deep: bool, format_: str) -> int:
    """Check versions, models and indexes. Exits 1 when something is wrong, with the command that repairs it."""
    with state.engine() as engine:
        checks = engine.check(deep=deep)
    wrong = [check for check in checks if not check.ok]
    if format_ == "json":
        emit(
            {
                "ok": not wrong,
                "checks": [{"thing": c.thing, "ok": c.ok, "detail": c.detail, "command": c.command} for c in checks],
            }
        )
    else:
        for check in checks:
            click.echo(f"{'ok   ' if check.ok else 'WRONG'}  {check.thing}: {check.detail}")
            if check.command:
                click.echo(f"       run: {check.command}")
    return 1 if wrong else 0
