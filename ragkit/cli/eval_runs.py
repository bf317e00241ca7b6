"""`ragkit eval run`, `runs`, `compare`, `gate` and `report`: experiments, and what can be said of their runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ragkit.choices import ALPHA, DROP, GATE_ALPHA
from ragkit.cli.common import Command, F, State, emit, pass_state, progress_bars, table
from ragkit.cli.options import FILE, PATH, corpus_option, first_option, format_option

if TYPE_CHECKING:
    from ragkit.engine import Engine
    from ragkit.evaluation.compare import Comparison
    from ragkit.evaluation.experiments import Experiment
    from ragkit.evaluation.runs import Run


@click.command("run", cls=Command, short_help="Carry out an experiment and keep every result.")
@click.argument("experiment", type=FILE)
@first_option()
@click.option("--fresh", is_flag=True, help="Compute everything again, whatever is known already.")
@click.option(
    "--output", metavar="FILE", type=FILE, help="Also write the run as JSON; of a grid, FILE-1, FILE-2, ..."
)
@click.option("--no-passages", is_flag=True, help="Leave the passages' texts out of FILE, which is a tenth then.")
@format_option("md")
@pass_state
def run_(
    state: State,
    experiment: Path,
    limit: int | None,
    fresh: bool,
    output: Path | None,
    no_passages: bool,
    format_: str,
) -> None:
    """Carry out EXPERIMENT, a TOML file, and keep every result: what is known already is not computed again.

    Interrupted or killed, it goes on where it stopped when it is started again.
    """
    from ragkit.evaluation import experiments, runs

    found = _carried_out(state, experiments.load(experiment), limit=limit, fresh=fresh)
    for number, one in enumerate(found, start=1):
        if output is not None:
            file = output if len(found) == 1 else output.with_name(f"{output.stem}-{number}{output.suffix}")
            runs.write(one, file, passages=not no_passages)
    _show(found, format_)


def _carried_out(state: State, experiment: Experiment, *, limit: int | None = None, fresh: bool = False) -> list[Run]:
    """The runs of an experiment, under the settings in force and the flags of the command line."""
    import dataclasses

    from ragkit.engine import Engine
    from ragkit.evaluation.runner import carry_out

    if limit is not None:
        experiment = dataclasses.replace(experiment, limit=limit)
    with progress_bars(state) as progress:
        return carry_out(
            experiment,
            state.settings,
            lambda settings: Engine(settings, progress=progress),
            overrides=state.overrides,
            fresh=fresh,
            progress=progress,
        )


def _show(found: Sequence[Run], format_: str) -> None:
    from ragkit.evaluation import report as reports
    from ragkit.evaluation import runs

    if format_ == "json":
        data = [runs.to_json(one) for one in found]
        emit(data[0] if len(data) == 1 else {"runs": data})
        return
    for at, one in enumerate(found):
        computed = one.about.get("computed", 0)
        click.echo(("\n" if at else "") + f"run {one.id}: {one.name}")
        click.echo(reports.to_markdown(one.report) if format_ == "md" else reports.to_text(one.report))
        kept = computed - one.about.get("asked", computed)
        what = "answers" if one.report.task == "answers" else "searches"
        scored = f", {kept} of them from {what} that were known" if kept else ""
        click.echo(f"{computed} of {len(one.report.questions)} questions were computed{scored}, the others known")
    if len(found) > 1 and format_ == "text":
        metric = found[0].primary
        rows = [(one.id, one.name, str(one.report.metrics[metric])) for one in found]
        click.echo("\n" + table(rows, ("run", "name", metric)))


@click.command(cls=Command)
@click.option("-n", "--limit", type=click.IntRange(1), default=20, show_default=True, help="How many, newest first.")
@format_option()
@pass_state
def runs(state: State, limit: int, format_: str) -> None:
    """List the runs in the store, newest first."""
    import dataclasses

    from ragkit.store import Evaluations

    with state.engine() as engine:
        found = Evaluations(engine.store).runs(limit)
    if format_ == "json":
        records = [dataclasses.asdict(one) for one in found]
        emit([{key: value for key, value in record.items() if key != "about"} for record in records])
    elif found:
        rows = [
            [one.id, one.name, one.task, one.dataset, one.corpus, one.questions, one.finished_at[:19] or "unfinished"]
            for one in found
        ]
        click.echo(table(rows, ("run", "name", "task", "dataset", "corpus", "questions", "finished")))
    else:
        state.say("no run yet; `ragkit eval run EXPERIMENT.toml` makes one")


_METRICS = click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Only this metric; repeatable.")
_DROP = click.option(
    "--drop",
    type=click.FloatRange(0, 1, min_open=True),
    default=DROP,
    show_default=True,
    help="The drop that the set must be able to show, or it is said to be too small.",
)
_EXAMPLES = click.option(
    "--examples", type=click.IntRange(0), default=10, show_default=True, help="Questions shown of each kind."
)


def _alpha(default: float) -> Callable[[F], F]:
    return click.option(
        "--alpha",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        default=default,
        show_default=True,
        help="Chance of calling a difference real where there is none, over all metrics together.",
    )


@click.command(cls=Command, short_help="Test whether one run differs from another.")
@click.argument("old")
@click.argument("new")
@_METRICS
@_alpha(ALPHA)
@_DROP
@_EXAMPLES
@format_option("md")
@pass_state
def compare(
    state: State,
    old: str,
    new: str,
    metrics: tuple[str, ...],
    alpha: float,
    drop: float,
    examples: int,
    format_: str,
) -> None:
    """Test whether run NEW differs from run OLD, metric by metric, and show the questions that moved.

    A run is a JSON file, its number or its name in the store.
    """
    from ragkit.evaluation import compare as comparing

    with state.engine() as engine:
        found = comparing.compare(_run(old, engine), _run(new, engine), metrics, alpha=alpha, drop=drop)
    _show_comparison(found, format_, examples)


@click.command(cls=Command, short_help="Exit with 5 when a run is really worse than the baseline.")
@click.argument("run", required=False)
@click.option("--baseline", required=True, metavar="RUN", help="The run to be held: a JSON file, a number or a name.")
@click.option("--dataset", metavar="PATH", type=PATH, help="Run these questions now instead.")
@corpus_option("The corpus of --dataset.")
@_METRICS
@_alpha(GATE_ALPHA)
@_DROP
@_EXAMPLES
@format_option("md")
@pass_state
def gate(
    state: State,
    run: str | None,
    baseline: str,
    dataset: Path | None,
    corpus: str,
    metrics: tuple[str, ...],
    alpha: float,
    drop: float,
    examples: int,
    format_: str,
) -> None:
    """Exit with 5 when RUN is really worse than the baseline, with 0 when the difference is noise.

    RUN is a JSON file, a number or a name in the store, or an experiment's TOML file, which is carried out now. Of
    retrieval the first metric decides, of answers those that each see another fault (docs/experiments.md names
    them), with Holm's correction; --metric chooses others.
    """
    from ragkit.errors import GateFailed
    from ragkit.evaluation import compare as comparing
    from ragkit.evaluation.compare_text import named

    with state.engine() as engine:
        old = _run(baseline, engine)
        stored = _run(run, engine) if run and not run.endswith(".toml") else None
    new = stored or _now(state, run, dataset, corpus, old)
    found = comparing.compare(old, new, metrics or comparing.gated(new, old), alpha=alpha, drop=drop)
    _show_comparison(found, format_, examples)
    if found.dropped:
        falls = ", ".join(f"{one.metric} from {one.old:.3f} to {one.new:.3f}" for one in found.dropped)
        raise GateFailed(
            f"{named(new)} is really worse than {named(old)}: {falls}",
            "mend it, or make the new run the baseline: ragkit eval run EXPERIMENT.toml --output FILE",
        )
    state.say("too small to tell" if found.too_small else "no real drop")


def _now(state: State, run: str | None, dataset: Path | None, corpus: str, old: Run) -> Run:
    """The run that is made now: of an experiment, or of a dataset as the baseline's was made."""
    from ragkit.evaluation import experiments
    from ragkit.evaluation.experiments import Experiment

    if run is not None:
        experiment = experiments.load(Path(run))
    elif dataset is not None:
        report = old.report
        level = report.about.get("level", "")
        metrics = report.names if report.task == "retrieval" else ()
        experiment = Experiment(old.name, dataset, report.task, corpus=corpus, metrics=metrics, level=level)
    else:
        raise click.UsageError("name a RUN, or a --dataset to be run now.")
    found = _carried_out(state, experiment)
    if len(found) > 1:
        raise click.UsageError(f"{run} has a grid of {len(found)} runs; name one of them by its number.")
    return found[0]


def _run(which: str, engine: Engine) -> Run:
    from ragkit.evaluation import runs

    return runs.load(which, None if which.endswith(".json") else engine.store)


def _show_comparison(found: Comparison, format_: str, examples: int) -> None:
    from ragkit.evaluation import compare_text

    if format_ == "json":
        emit(compare_text.to_json(found, examples=examples))
    elif format_ == "md":
        click.echo(compare_text.to_markdown(found, examples=examples))
    else:
        click.echo(compare_text.to_text(found, examples=examples))


@click.command(cls=Command, short_help="Write a report of a run: one HTML page, or Markdown.")
@click.argument("run")
@click.option("--baseline", metavar="RUN", help="Also show what changed since this run.")
@click.option("--output", metavar="FILE", type=FILE, help="FILE.html or FILE.md.  [default: Markdown on stdout]")
@pass_state
def report(state: State, run: str, baseline: str | None, output: Path | None) -> None:
    """Write a report of RUN, a JSON file, a number or a name: one HTML file that needs nothing else, or Markdown."""
    from ragkit.errors import UsageError
    from ragkit.evaluation import compare as comparing
    from ragkit.evaluation import html, markdown
    from ragkit.files import write_whole

    if output is not None and output.suffix not in (".html", ".md"):
        raise UsageError(
            f"a report is written as .html or .md, not {output.suffix or output.name}", "name such a file"
        )
    with state.engine() as engine:
        found = _run(run, engine)
        old = _run(baseline, engine) if baseline else None
    compared = comparing.compare(old, found) if old else None
    if output is None:
        click.echo(markdown.page(found, compared), nl=False)
        return
    page = html.page if output.suffix == ".html" else markdown.page
    write_whole(output, page(found, compared).encode())
    state.say(f"wrote {output}")


COMMANDS = (run_, runs, compare, gate, report)
