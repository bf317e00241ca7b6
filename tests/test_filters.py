"""Filters: what they accept, what they match, and how a bad one is reported."""

from __future__ import annotations

from typing import Any

import pytest

from ragkit.errors import FilterError
from ragkit.filters import Filter, matches, parse

DOCUMENT: dict[str, Any] = {
    "path": "guides/setup/install.md",
    "title": "Installing on Linux",
    "format": "markdown",
    "metadata": {
        "date": "2024-03-09",
        "tags": ["Linux", "setup"],
        "weight": 30,
        "draft": False,
        "author": {"name": "Ada"},
        "a.b": "flat",
        "version": "2.10",
    },
}


@pytest.mark.parametrize(
    "expression",
    [
        "path=guides/*",
        "path=*.md",
        "path!=api/*",
        "title=install*",
        "format=markdown",
        "type=Markdown",
        "type!=pdf",
        "date>=2024-01-01",
        "date=2024-03-09",
        "date<2024-03-10",
        "date<=2024-03",
        "tags=linux",
        "tags!=windows",
        "weight>9",
        "weight<=30.0",
        "weight=30",
        "draft=false",
        "author.name=ada",
        "a.b=flat",
        "missing!=x",
        "  weight  >=  30  ",
    ],
)
def test_filter_holds(expression: str) -> None:
    assert matches(parse([expression]), **DOCUMENT)


@pytest.mark.parametrize(
    "expression",
    [
        "path=setup/*",
        "title=linux",
        "format=pdf",
        "date>2024-03-09",
        "date>=2025-01-01",
        "tags=windows",
        "weight>100",
        "draft=true",
        "missing=x",
        "missing>1",
        "author=Ada",
        "tags>=2024-01-01",
    ],
)
def test_filter_does_not_hold(expression: str) -> None:
    assert not matches(parse([expression]), **DOCUMENT)


def test_a_front_matter_type_goes_before_the_format() -> None:
    with_type = {**DOCUMENT, "metadata": {"type": "tutorial"}}
    assert matches(parse(["type=tutorial"]), **with_type)
    assert not matches(parse(["type=markdown"]), **with_type)


def test_all_filters_must_hold() -> None:
    assert not matches(parse(["tags=linux", "weight>100"]), **DOCUMENT)


@pytest.mark.parametrize("expression", ["", "nonsense", "=x", "date>", "path>a", "a b=c", "!=x"])
def test_bad_filter_is_named(expression: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse([expression])
    assert repr(expression) in caught.value.message
    assert caught.value.hint


def test_value_may_hold_operators_and_be_empty() -> None:
    assert parse(["url=https://x/?a=b"]) == (Filter("url", "=", "https://x/?a=b"),)
    assert parse(["tag="]) == (Filter("tag", "=", ""),)
    assert str(Filter("date", ">=", "2024")) == "date>=2024"
