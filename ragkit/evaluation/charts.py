"""Small charts as SVG: lines, bars, steps. Colours are the page's, by class, so that they follow light and dark.

Knows numbers and coordinates; knows nothing of runs, metrics or files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 360, 220
LEFT, RIGHT, TOP, BOTTOM = 40, 12, 12, 34
Point = tuple[float, float]


def lines(
    series: Mapping[str, Sequence[Point]],
    *,
    label: str,
    x_label: str,
    x_range: tuple[float, float],
    y_range: tuple[float, float] = (0.0, 1.0),
    x_ticks: Sequence[float] = (),
    before: Mapping[str, Sequence[Point]] | None = None,
    diagonal: bool = False,
    dots: bool = False,
) -> str:
    """One line for each series, with its name at its end's height; `before` are the baseline's, drawn dashed."""
    x, y = _scale(x_range, LEFT, WIDTH - RIGHT), _scale(y_range, HEIGHT - BOTTOM, TOP)
    parts = [_grid(x, y, x_ticks or x_range, _nice(*y_range), x_label)]
    if diagonal:
        parts.append(f'<path class="guide" d="M{x(x_range[0])} {y(y_range[0])}L{x(x_range[1])} {y(y_range[1])}"/>')
    for at, (name, points) in enumerate((before or {}).items()):
        parts.append(
            f'<path class="line s{at} before" d="{_path(points, x, y)}"><title>{escape(name)}</title></path>'
        )
    for at, (name, points) in enumerate(series.items()):
        parts.append(f'<path class="line s{at}" d="{_path(points, x, y)}"><title>{escape(name)}</title></path>')
        if dots:
            parts += [
                f'<circle class="dot s{at}" cx="{x(one)}" cy="{y(two)}" r="3.5">'
                f"<title>{escape(name)}: {one:.2f}, {two:.2f}</title></circle>"
                for one, two in points
            ]
    return _svg(label, parts)


def columns(
    edges: Sequence[float], counts: Sequence[int], *, label: str, x_label: str, marks: Mapping[str, float]
) -> str:
    """A histogram, with upright lines at `marks`."""
    top = max(counts, default=1) or 1
    x, y = (
        _scale((edges[0], edges[-1] or 1.0), LEFT, WIDTH - RIGHT),
        _scale((0.0, float(top)), HEIGHT - BOTTOM, TOP + 26),
    )
    parts = [_grid(x, y, [edges[0], (edges[0] + edges[-1]) / 2, edges[-1]], [0.0, float(top)], x_label)]
    for start, end, count in zip(edges, edges[1:], counts, strict=False):
        if count:
            width = max(1.0, x(end) - x(start) - 1)
            parts.append(
                f'<rect class="bar" x="{x(start) + 0.5:.2f}" y="{y(count)}" width="{width:.1f}" '
                f'height="{y(0) - y(count):.1f}"><title>{count} from {start:.3g} to {end:.3g}</title></rect>'
            )
    for at, (name, value) in enumerate(marks.items()):
        place = min(x(value), WIDTH - RIGHT)
        anchor = "end" if place > WIDTH - 80 else "start"
        parts.append(f'<path class="mark" d="M{place} {TOP + 2}V{HEIGHT - BOTTOM}"/>')
        offset = -4 if anchor == "end" else 4
        parts.append(
            f'<text class="note" x="{place + offset}" y="{TOP + 8 + 12 * at}" text-anchor="{anchor}">'
            f"{escape(name)} {value:.3g}</text>"
        )
    return _svg(label, parts)


def bars(
    rows: Sequence[tuple[str, float, float, float, str]],
    *,
    label: str,
    before: Mapping[str, float] | None = None,
    top: float = 1.0,
) -> str:
    """Lying bars with a whisker each: (name, value, low, high, note). `before` marks the baseline's value."""
    step, name_width = 26, 104
    height = TOP + step * len(rows) + 24
    x = _scale((0.0, top), name_width, WIDTH - 52)
    parts = [
        f'<path class="grid" d="M{x(tick)} {TOP}V{height - 24}"/>'
        f'<text class="tick" x="{x(tick)}" y="{height - 8}" text-anchor="middle">{tick:g}</text>'
        for tick in (0.0, top / 2, top)
    ]
    for at, (name, value, low, high, note) in enumerate(rows):
        middle = TOP + step * at + step / 2
        shown = name if len(name) <= 14 else name[:13] + "…"
        parts.append(
            f'<text class="name" x="{name_width - 8}" y="{middle + 4}" text-anchor="end">{escape(shown)}'
            f"<title>{escape(name)}</title></text>"
            f'<rect class="bar" x="{x(0)}" y="{middle - 7}" width="{max(0.5, x(value) - x(0)):.1f}" height="14"/>'
            f'<path class="whisker" d="M{x(low)} {middle}H{x(high)}"/>'
            f'<text class="note" x="{WIDTH - 46}" y="{middle + 4}">{escape(note)}</text>'
        )
        if before and name in before:
            parts.append(f'<path class="mark" d="M{x(before[name])} {middle - 9}v18"/>')
    return _svg(label, parts, height)


def whisker(mean: float, low: float, high: float, before: float | None = None) -> str:
    """A mean with its interval on a line from 0 to 1; the baseline's mean is an upright stroke."""
    x = _scale((0.0, 1.0), 4, 116)
    old = f'<path class="mark" d="M{x(before)} 2v16"/>' if before is not None else ""
    return (
        f'<svg class="whisker-row" viewBox="0 0 120 20" role="img" aria-label="{low:.3f} to {high:.3f}">'
        f'<path class="grid" d="M4 10H116"/>{old}<path class="whisker" d="M{x(low)} 10H{x(high)}"/>'
        f'<circle class="dot s0" cx="{x(mean)}" cy="10" r="4"/></svg>'
    )


# ---------------------------------------------------------------- parts


def _svg(label: str, parts: Sequence[str], height: float = HEIGHT) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(label, quote=True)}">'
        + "".join(parts)
        + "</svg>"
    )


def _scale(values: tuple[float, float], start: float, end: float) -> Callable[[float], float]:
    low, high = values
    span = (high - low) or 1.0

    def place(value: float) -> float:
        return round(start + (min(high, max(low, value)) - low) / span * (end - start), 2)

    return place


def _grid(
    x: Callable[[float], float],
    y: Callable[[float], float],
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    x_label: str,
) -> str:
    parts = [
        f'<path class="grid" d="M{LEFT} {y(tick)}H{WIDTH - RIGHT}"/>'
        f'<text class="tick" x="{LEFT - 6}" y="{y(tick) + 4}" text-anchor="end">{tick:.3g}</text>'
        for tick in y_ticks
    ]
    parts += [
        f'<text class="tick" x="{x(tick)}" y="{HEIGHT - BOTTOM + 14}" '
        f'text-anchor="{"end" if x(tick) > WIDTH - RIGHT - 10 else "middle"}">{tick:.3g}</text>'
        for tick in x_ticks
    ]
    middle = (LEFT + WIDTH - RIGHT) / 2
    return "".join(parts) + (
        f'<text class="tick" x="{middle}" y="{HEIGHT - 4}" text-anchor="middle">{escape(x_label)}</text>'
    )


def _path(points: Sequence[Point], x: Callable[[float], float], y: Callable[[float], float]) -> str:
    return "".join(f"{'L' if at else 'M'}{x(one)} {y(two)}" for at, (one, two) in enumerate(points))


def _nice(low: float, high: float) -> list[float]:
    return [low + (high - low) * at / 4 for at in range(5)]
