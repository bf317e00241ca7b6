"""Filters: what they accept, what they match, and how a bad one is reported."""

from __future__ import annotations

from typing import Any

import pytest

from ragkit.errors import FilterError
from ragkit.filters import Filter, matches, parse, require_known

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
        "released": "2024-03-09T10:00:00",
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
        "date=2024-03",
        "date=2024",
        "released=2024-03-09",
        "date>=2024",
        "date<=2024",
        "date!=2023",
        "version>2.9",
        "version<=v2.10",
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
        "date=2024-0",
        "date=2024-04",
        "date>2024",
        "date>2024-03",
        "date!=2024",
        "version<2.9",
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


@pytest.mark.parametrize(
    "expression", ["", "nonsense", "=x", "date>", "path>a", "a b=c", "!=x", "date=>2024", "a==b", "a=<3"]
)
def test_bad_filter_is_named(expression: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse([expression])
    assert repr(expression) in caught.value.message
    assert caught.value.hint


DOCUMENTS: list[dict[str, Any]] = [
    {"date": "2024-03-09", "tags": ["a"], "author": {"name": "Ada", "mail": None}},
    {"date": "2024-03", "weight": 3, "title": "x"},
    {},
]


@pytest.mark.parametrize(
    "expression",
    [
        "path=x",
        "title=x",
        "format=x",
        "type=x",
        "date>=2024",
        "date<2024-01-01",
        "date=x",
        "author.name=x",
        "tags!=x",
    ],
)
def test_a_key_that_some_document_has_may_be_asked_for(expression: str) -> None:
    require_known(parse([expression]), DOCUMENTS)


@pytest.mark.parametrize(
    ("expression", "message", "hint"),
    [
        ("dates>=2024", "no document has the key dates", "did you mean date? keys of this corpus: path, title"),
        (
            "status!=draft",
            "no document has the key status",
            "path, title, format, type, date, author.name, tags, weight",
        ),
        ("author.mail=x", "no document has the key author.mail", "author.name"),
        ("date>=yesterday", "date holds dates, and yesterday is none", "write date>=YYYY-MM-DD"),
    ],
)
def test_a_filter_that_can_only_be_a_slip_is_refused_with_the_keys_that_exist(expression, message, hint) -> None:
    with pytest.raises(FilterError) as caught:
        require_known(parse([expression]), DOCUMENTS)
    assert repr(expression) in caught.value.message
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_corpus_of_many_keys_names_the_commonest() -> None:
    documents = [{f"key{number:03}": 1 for number in range(100)}, {"key050": 2}]
    with pytest.raises(FilterError) as caught:
        require_known(parse(["status=draft"]), documents)
    assert "type, key050, key000" in caught.value.hint
    assert caught.value.hint.endswith("and 84 more")


def test_value_may_hold_operators_and_be_empty() -> None:
    assert parse(["url=https://x/?a=b"]) == (Filter("url", "=", "https://x/?a=b"),)
    assert parse(["tag="]) == (Filter("tag", "=", ""),)
    assert str(Filter("date", ">=", "2024")) == "date>=2024"
