"""Tables of text, for a terminal and as Markdown. Knows cells and columns, and nothing of what stands in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def aligned(rows: Iterable[Sequence[str]], right: range = range(0)) -> list[str]:
    """Lines with columns as wide as their widest cell; those in `right` are set to the right.

    >>> aligned([["metric", "mean"], ["MAP", "0.5"]], right=range(1, 2))
    ['metric  mean', 'MAP      0.5']
    """
    cells = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def piped(rows: Iterable[Sequence[str]], right: range = range(0)) -> list[str]:
    """Lines of a Markdown table whose first row is the header.

    >>> piped([["metric", "mean"], ["MAP", "0.5"]], right=range(1, 2))
    ['| metric | mean |', '|---|---:|', '| MAP | 0.5 |']
    """
    header, *rest = rows
    rule = ["---:" if at in right else "---" for at in range(len(header))]
    return [_line(header), f"|{'|'.join(rule)}|", *map(_line, rest)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
