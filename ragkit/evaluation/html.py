"""A run as one HTML page that needs nothing else: summary, charts, and every question with what was found for it.

Knows runs, comparisons, charts and markup; knows nothing of engines, stores or statistics. Whatever comes from
documents, questions or models is escaped; the page's policy forbids it to load or run anything from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib import resources

from ragkit.domain import JSON
from ragkit.evaluation import charts, figures
from ragkit.evaluation.commands import why_not
from ragkit.evaluation.compare import Comparison
from ragkit.evaluation.compare_text import named, spell_p, spell_setting
from ragkit.evaluation.metrics import Interval
from ragkit.evaluation.names import COSTS, lower_is_better
from ragkit.evaluation.report import Scored
from ragkit.evaluation.runs import Run, rows
from ragkit.text import analyse, term_spans

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'"


def page(run: Run, comparison: Comparison | None = None) -> str:
    """The whole page. `comparison` is with the baseline, which is its old run."""
    title = f"{run.name}: {run.report.task} on {run.report.dataset}"
    body = "\n".join(
        part
        for part in (
            _head(run, title, comparison),
            _summary(run, comparison),
            _charts(run, comparison),
            _questions(run, comparison),
            _facts(run),
        )
        if part
    )
    files = resources.files("ragkit.evaluation").joinpath("page")
    style = files.joinpath("report.css").read_text(encoding="utf-8")
    script = files.joinpath("report.js").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{escape(title)}</title>\n<link rel="icon" href="data:,">\n<style>\n{style}</style>\n</head>\n'
        f"<body>\n{body}\n<script>\n{script}</script>\n</body>\n</html>\n"
    )


# ---------------------------------------------------------------- top


def _head(run: Run, title: str, comparison: Comparison | None) -> str:
    about = ", ".join(f"{name} {value}" for name, value in run.report.about.items() if value)
    parts = [
        f"<header>\n<h1>{escape(title)}</h1>",
        f'<p class="soft">{len(run.report.questions)} questions · {escape(about)}{_day(run)}</p>',
        "</header>",
    ]
    if comparison:
        parts.append(_verdict(comparison))
    notices = [*run.report.notices]
    if run.report.failed:
        notices.insert(0, f"{len(run.report.failed)} questions failed and count at the worst value")
    parts += [f'<p class="soft">{escape(notice)}</p>' for notice in notices]
    return "\n".join(parts)


def _day(run: Run) -> str:
    return f" · {escape(run.finished_at[:10])}" if run.finished_at else ""


def _verdict(found: Comparison) -> str:
    """What changed since the baseline, in words."""
    falls = [one.metric for one in found.dropped]
    rises = [one.metric for one in found.metrics if one.verdict == "better"]
    kind = "worse" if falls else "better" if rises else ""
    said = []
    if falls:
        said.append(f"<strong>Really worse:</strong> {escape(', '.join(falls))}.")
    if rises:
        said.append(f"<strong>Really better:</strong> {escape(', '.join(rises))}.")
    if not said:
        small = ", ".join(one.metric for one in found.too_small)
        said.append(
            "No real difference was found." + (f" Too few questions to tell: {escape(small)}." if small else "")
        )
    changed = ", ".join(
        f"<code>{escape(key)}</code> {escape(str(spell_setting(a)))} → {escape(str(spell_setting(b)))}"
        for key, (a, b) in found.settings.items()
    )
    settings = f"<p>Changed: {changed}</p>" if changed else "<p>The settings and models are the same.</p>"
    moved = (
        f"{len(found.worse)} questions got worse, {len(found.better)} better, by {escape(found.metrics[0].metric)}."
    )
    remarks = "".join(f"<p>{escape(notice)}</p>" for notice in found.notices)
    return (
        f'<section class="card verdict {kind}"><p>Since {escape(named(found.old))}: {" ".join(said)} {moved}</p>'
        f"{settings}{remarks}</section>"
    )


def _summary(run: Run, comparison: Comparison | None) -> str:
    compared = {one.metric: one for one in comparison.metrics} if comparison else {}
    head = ["metric", "mean", "95 % interval", "", "n"]
    if comparison:
        head += ["baseline", "change", "p", ""]
    lines = []
    for name, interval in run.report.metrics.items():
        if not interval.n:
            lines.append(
                f'<tr><td>{escape(name)}</td><td class="soft" colspan="{len(head) - 1}">no question</td></tr>'
            )
            continue
        one = compared.get(name)
        cells = [
            f"<td>{escape(name)}</td><td><strong>{interval.mean:.3f}</strong></td>",
            f'<td class="soft">{interval.low:.3f} to {interval.high:.3f}</td>',
            f"<td>{_whisker(name, interval, one.old if one else None)}</td>",
            f"<td>{interval.n}</td>",
        ]
        if one:
            tone = {"better": "good", "worse": "bad", "too small to tell": "warn"}.get(one.verdict, "")
            cells.append(
                f"<td>{one.old:.3f}</td><td>{one.interval.mean:+.3f}</td><td>{spell_p(one.adjusted)}</td>"
                f'<td><span class="tag {tone}">{one.verdict}</span></td>'
            )
        elif comparison:
            cells.append('<td colspan="4"></td>')
        lines.append(f"<tr>{''.join(cells)}</tr>")
    header = "".join(f"<th>{name}</th>" for name in head)
    kind = "compared" if comparison else "plain"
    return (
        f'<h2>Summary</h2>\n<div class="card scroll"><table class="{kind}"><thead><tr>{header}</tr></thead>\n'
        f"<tbody>{''.join(lines)}</tbody></table></div>{_left_out(run)}"
    )


def _left_out(run: Run) -> str:
    """Which metrics do not apply to how many questions, and why."""
    found: dict[str, list[str]] = {}
    for name in run.report.names:
        for reason, n in run.report.left_out(name).items():
            found.setdefault(f"{n} {reason}", []).append(name)
    lines = "".join(f"<li>{escape(reason)}: {escape(', '.join(metrics))}</li>" for reason, metrics in found.items())
    return f'<p class="soft">Questions left out:</p><ul class="soft">{lines}</ul>' if lines else ""


def _whisker(metric: str, interval: Interval, old: float | None) -> str:
    """The interval drawn between 0 and 1; tokens and seconds have no such bounds."""
    return "" if metric in COSTS else charts.whisker(interval.mean, interval.low, interval.high, old)


# ---------------------------------------------------------------- charts


def _charts(run: Run, comparison: Comparison | None) -> str:
    old = comparison.old if comparison else None
    drawn = [
        chart
        for chart in (_by_k(run, old), _kinds(run, old), _risk(run, old), _calibration(run), _latency(run))
        if chart
    ]
    return f'<h2>Charts</h2>\n<div class="charts">{"".join(drawn)}</div>' if drawn else ""


def _figure(title: str, svg: str, caption: str) -> str:
    return f'<figure class="card"><h3>{escape(title)}</h3>{svg}<figcaption>{caption}</figcaption></figure>'


def _by_k(run: Run, old: Run | None) -> str:
    curves = figures.by_k(run)
    if not curves:
        return ""
    points = {name: _numbered(values) for name, values in curves.items()}
    before = {name: _numbered(values) for name, values in figures.by_k(old).items()} if old else {}
    last = max(len(values) for values in curves.values())
    svg = charts.lines(
        points,
        label="Metrics by k",
        x_label="k, passages looked at",
        x_range=(1.0, float(max(2, last))),
        x_ticks=[float(k) for k in range(1, last + 1)],
        before=before,
        dots=True,
    )
    keys = "".join(f'<span class="key s{at}">{escape(name)}@k</span>' for at, name in enumerate(points))
    return _figure("Metrics by k", svg, keys + ('<span class="key before">baseline</span>' if before else ""))


def _numbered(values: Sequence[float]) -> list[tuple[float, float]]:
    return [(float(k), value) for k, value in enumerate(values, start=1)]


def _kinds(run: Run, old: Run | None) -> str:
    found = figures.kinds(run, run.primary)
    if len(found) < 2:
        return ""
    before = {kind: interval.mean for kind, interval in figures.kinds(old, run.primary)} if old else None
    svg = charts.bars(
        [(kind, i.mean, i.low, i.high, f"n {i.n}") for kind, i in found[:12]],
        label=f"{run.primary} by kind of question",
        before=before,
    )
    caption = "Mean and 95 % interval for each kind."
    return _figure(
        f"{run.primary} by kind of question",
        svg,
        caption + (' <span class="key mark">baseline</span>' if before else ""),
    )


def _risk(run: Run, old: Run | None) -> str:
    points = figures.risk_coverage(run, run.primary)
    if len(points) < 3:
        return ""
    before = {"baseline": figures.risk_coverage(old, run.primary)} if old else {}
    svg = charts.lines(
        {"risk": points},
        label="Risk against coverage",
        x_label="coverage, the most confident questions first",
        x_range=(0.0, 1.0),
        x_ticks=(0.0, 0.25, 0.5, 0.75, 1.0),
        before={name: one for name, one in before.items() if one},
    )
    return _figure(
        "Risk and coverage",
        svg,
        f"Risk is 1 − {escape(run.primary)}. A curve that rises to the right means that confidence tells good "
        f"from bad. Mean risk over all coverages: {figures.area(points):.3f}.",
    )


def _calibration(run: Run) -> str:
    groups = figures.calibration(run, run.primary)
    if not groups:
        return ""
    svg = charts.lines(
        {run.primary: [(one.confidence, one.score) for one in groups]},
        label="Calibration",
        x_label=f"mean confidence of {len(groups)} groups of questions",
        x_range=(0.0, 1.0),
        x_ticks=(0.0, 0.25, 0.5, 0.75, 1.0),
        diagonal=True,
        dots=True,
    )
    what = "the support of an answer's claims" if run.report.task == "answers" else "the best passage's cosine"
    return _figure(
        "Calibration", svg, f"Confidence is {what}; on the dotted line it would equal {escape(run.primary)}."
    )


def _latency(run: Run) -> str:
    taken = [one.seconds for one in run.report.questions]
    if not taken or not max(taken):
        return ""
    edges, counts = figures.histogram(taken)
    marks = figures.latencies(run)
    svg = charts.columns(
        edges,
        counts,
        label="Seconds a question took",
        x_label="seconds",
        marks={"median": marks["p50"], "95 %": marks["p95"]},
    )
    return _figure(
        "Latency",
        svg,
        f"Measured when a question was computed; 99 %: {marks['p99']:.3g} s. Slower ones are in the last bar.",
    )


# ---------------------------------------------------------------- questions


def _questions(run: Run, comparison: Comparison | None) -> str:
    gains = {change.new.id: change.gain for change in comparison.changes} if comparison else {}
    old_rows = {one.id: (one, trace) for one, trace in rows(comparison.old)} if comparison else {}
    kinds = sorted({one.kind for one in run.report.questions if one.kind})
    options = [("", "all questions"), ("failed", "failed"), ("missed", "something missed"), ("low", "below the mean")]
    options += [("worse", "got worse"), ("better", "got better")] if comparison else []
    if run.report.task == "answers":
        options += [("abstained", "declined"), ("unsupported", "unsupported claims")]
    sorts = [("dataset", "in the set's order"), ("worst", "worst first"), ("slowest", "slowest first")]
    sorts += [("change", "most lost first")] if comparison else []
    mean = run.report.metrics[run.primary].mean
    items = [
        _question(run, at, one, trace, mean, gains.get(one.id), old_rows.get(one.id))
        for at, (one, trace) in enumerate(rows(run))
    ]
    return "\n".join(
        [
            '<h2>Questions <span class="tag" id="shown"></span></h2>',
            '<div class="filters"><label class="find">Find <input id="find" type="search"></label>',
            _select("state", "State", options),
            _select("kind", "Kind", [("", "every kind"), *((kind, kind) for kind in kinds)]),
            _select("sort", "Order", sorts),
            "</div>",
            '<div id="questions">',
            *items,
            "</div>",
            '<p class="none" id="none" hidden>No question fits.</p>',
        ]
    )


def _select(id: str, label: str, options: Sequence[tuple[str, str]]) -> str:
    inner = "".join(f'<option value="{escape(value, quote=True)}">{escape(name)}</option>' for value, name in options)
    return f'<select id="{id}" aria-label="{label}">{inner}</select>'


def _question(
    run: Run,
    at: int,
    one: Scored,
    trace: Mapping[str, JSON],
    mean: float,
    gain: float | None,
    old: tuple[Scored, Mapping[str, JSON]] | None,
) -> str:
    score = one.scores.get(run.primary)
    tags = _tags(one, trace, gain)
    states = [state for state, _, _ in tags]
    if score is not None and (score > mean if lower_is_better(run.primary) else score < mean):
        states.append("low")
    text = " ".join([one.id, one.question, one.answer, one.kind, *one.hits]).lower()
    data = {"at": at, "text": text, "states": " ".join(states), "kind": one.kind, "score": score or 0.0}
    data |= {"gain": gain or 0.0, "seconds": one.seconds}
    attributes = " ".join(f'data-{key}="{escape(str(value), quote=True)}"' for key, value in data.items())
    shown = "".join(f'<span class="tag {tone}">{escape(label)}</span> ' for _, label, tone in tags)
    kind = f'<span class="tag wide">{escape(one.kind)}</span>' if one.kind else "<span></span>"
    shown_score = "–" if score is None else f"{score:.3f}"
    return (
        f'<details class="q" id="q-{escape(one.id, quote=True)}" {attributes}>'
        f'<summary><span class="what text">{escape(one.question)}</span><span>{shown}</span>{kind}'
        f'<span class="score" title="{escape(run.primary)}">{shown_score}</span></summary>'
        f'<div class="body">{"".join(_body(run, one, trace, old))}</div></details>'
    )


def _tags(one: Scored, trace: Mapping[str, JSON], gain: float | None) -> list[tuple[str, str, str]]:
    """(state, label, tone) of what is to be said of a question at a glance."""
    found = []
    if one.error:
        found.append(("failed", "failed", "bad"))
    if trace.get("missed"):
        found.append(("missed", "missed", "warn"))
    if one.status == "abstained":
        found.append(("abstained", "declined", ""))
    if any(not claim["supported"] for claim in trace.get("claims", [])):
        found.append(("unsupported", "unsupported", "warn"))
    if gain:
        found.append(("better", f"{gain:+.2f}", "good") if gain > 0 else ("worse", f"{gain:+.2f}", "bad"))
    return found


def _body(
    run: Run, one: Scored, trace: Mapping[str, JSON], old: tuple[Scored, Mapping[str, JSON]] | None
) -> Iterator[str]:
    scores = " · ".join(f"{escape(name)} {value:.3f}" for name, value in one.scores.items())
    yield f'<p class="soft">{escape(one.id)} · {scores} · {one.seconds:.3f} s</p>'
    if one.error:
        yield f'<p class="tag bad">{escape(one.error)}</p>'
    if run.report.task == "answers":
        yield _answer(one, trace)
    if old is not None:
        yield _before(run, one, *old)
    for gold in trace.get("missed", []):
        place = " › ".join(filter(None, [gold["path"], *gold["heading"]]))
        quote = f'<div class="soft text">“{escape(gold["quote"])}”</div>' if gold["quote"] else ""
        command = escape(why_not(run, one.question, gold))
        yield (
            '<div class="passage"><div class="where"><span class="tag warn">missed</span> '
            f'<code>{escape(place)}</code></div>{quote}<code class="command">{command}</code></div>'
        )
    terms = analyse(one.question)
    for rank, hit in enumerate(trace.get("hits", []), start=1):
        yield _passage(hit, str(rank), hit.get("terms") or terms, hit.get("relevant", False), "answers it")
    for source in trace.get("sources", []):
        label = "cited" if source.get("cited") else "not cited"
        yield _passage(source, f"[{source['number']}]", terms, source.get("relevant", False), "answers it", label)


def _passage(
    hit: Mapping[str, JSON], rank: str, terms: Sequence[str], relevant: bool, meaning: str, label: str = ""
) -> str:
    stages = " · ".join(
        f"{name} {'–' if stage[0] is None else f'#{stage[0]}'}" for name, stage in dict(hit.get("stages", {})).items()
    )
    heading = " › ".join(hit.get("heading", []))
    parts = [f"<strong>{escape(rank)}</strong>", f"<code>{escape(hit['location'])}</code>"]
    parts += [f'<span class="tag good">{meaning}</span>'] if relevant else []
    parts += [f'<span class="tag">{label}</span>'] if label else []
    parts.append(f'<span class="soft">{escape(heading)}</span>' if heading else "")
    parts.append(
        f'<span class="soft wide">score {hit.get("score", 0.0):.3f}{" · " + stages if stages else ""}</span>'
    )
    text = f'<div class="text">{marked(hit["text"], terms)}</div>' if hit.get("text") else ""
    return (
        f'<div class="passage {"relevant" if relevant else ""}"><div class="where">{"".join(parts)}</div>{text}</div>'
    )


def marked(text: str, terms: Sequence[str]) -> str:
    """Text as HTML, the words whose stems are among `terms` marked.

    >>> marked("Restores <b> backups", ["restor"])
    '<mark>Restores</mark> &lt;b&gt; backups'
    """
    parts, end = [], 0
    for start, stop in sorted(term_spans(text, terms)):
        if start >= end:
            parts += [escape(text[end:start], quote=False), f"<mark>{escape(text[start:stop], quote=False)}</mark>"]
            end = stop
    return "".join([*parts, escape(text[end:], quote=False)])


def _answer(one: Scored, trace: Mapping[str, JSON]) -> str:
    """The answer, each claim in the colour of its support, and the reference."""
    claims = trace.get("claims", [])
    if claims:
        said = " ".join(
            f'<span class="claim {"good" if claim["supported"] else "bad"}" '
            f'title="{escape(", ".join(claim["quotes"]) or "no line bears it out", quote=True)}">'
            f"{escape(claim['text'])} <small>{claim['support']:.2f}</small></span>"
            for claim in claims
        )
    else:
        said = escape(one.answer)
    reason = f'<p class="soft">{escape(trace["reason"])}</p>' if trace.get("reason") else ""
    reference = (
        f'<p class="text"><span class="soft">Reference:</span> {escape(trace["reference"])}</p>'
        if trace.get("reference")
        else ""
    )
    return f'<div class="text">{said}</div>{reason}{reference}'


def _before(run: Run, one: Scored, old: Scored, trace: Mapping[str, JSON]) -> str:
    """What the baseline had for a question, where it differs."""
    same_score = old.scores.get(run.primary) == one.scores.get(run.primary)
    if same_score and old.answer == one.answer and old.hits == one.hits:
        return ""
    score = old.scores.get(run.primary)
    relevant = {hit["location"] for hit in trace.get("hits", []) if hit.get("relevant")}
    found = ", ".join(f"<code>{escape(hit)}</code>{' ✓' if hit in relevant else ''}" for hit in old.hits[:3])
    said = f'<br><span class="text">{escape(old.answer)}</span>' if old.answer else f" · {found}" if found else ""
    return f'<p><span class="tag">baseline</span> {"–" if score is None else f"{score:.3f}"}{said}</p>'


# ---------------------------------------------------------------- bottom


def _facts(run: Run) -> str:
    """What was run, on what, with which versions."""
    facts: dict[str, JSON] = {"run": run.id or "", "dataset": f"{run.report.dataset} ({run.report.fingerprint})"}
    facts |= {"started": run.started_at, "finished": run.finished_at}
    for part in ("models", "machine", "versions", "settings"):
        facts |= {f"{part} · {key}": value for key, value in dict(run.about.get(part, {})).items()}
    inner = "".join(
        f"<dt>{escape(key)}</dt><dd>{escape(str(value))}</dd>" for key, value in facts.items() if value != ""
    )
    return (
        '<h2>What was run</h2>\n<details class="card"><summary>Settings, models, versions, machine</summary>'
        f'<dl class="facts">{inner}</dl></details>'
    )
