"""Filters: what they accept, what they match, and how a bad one is reported."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit import dates
from ragkit.errors import FilterError
from ragkit.filters import Fields, Filter, checked, matches, parse, unmet

DOCUMENT = Fields(
    "guides/setup/install.md",
    "Installing on Linux",
    "markdown",
    {
        "date": "2024-03-09",
        "tags": ["Linux", "setup"],
        "weight": 30,
        "draft": False,
        "author": {"name": "Ada"},
        "a.b": "flat",
        "version": "2.10",
        "released": "2024-03-09T10:00:00",
        "my key": "x",
        "og:type": "article",
        "editors": [{"name": "Bo"}, {"name": "Cy"}, "Di"],
        "published": "March 9, 2024",
        "updated": "soon",
    },
)


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
        "date>2024-3-8",
        "date=2024-3-9",
        "date<2024-10",
        "published>=2024-03",
        "published=2024",
        "published<2024-3-10",
        "released>=2024-03-09T12:00+02:00",
        "released<2024-03-09T11:00",
        '"my key"=x',
        "'my key' = x",
        "og:type=article",
        '"og:type"!=book',
        "editors.name=cy",
        "editors=di",
    ],
)
def test_filter_holds(expression: str) -> None:
    assert matches(parse([expression]), DOCUMENT)


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
        "date>2024-3-9",
        "published>2024-03-09",
        "updated>=1999-01-01",
        "updated>=1999",
        "updated<2999",
        "released>2024-03-09T12:00+02:00",
        "editors.name=di",
        "tags<2999-01",
    ],
)
def test_filter_does_not_hold(expression: str) -> None:
    assert not matches(parse([expression]), DOCUMENT)


def test_a_front_matter_type_goes_before_the_format() -> None:
    with_type = DOCUMENT._replace(metadata={"type": "tutorial"})
    assert matches(parse(["type=tutorial"]), with_type)
    assert not matches(parse(["type=markdown"]), with_type)


def test_all_filters_must_hold() -> None:
    assert not matches(parse(["tags=linux", "weight>100"]), DOCUMENT)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "nonsense",
        "=x",
        "date>",
        "path>a",
        "a b=c",
        "!=x",
        "date=>2024",
        "a==b",
        "a=<3",
        "'a\"=x",
        '"a=x',
        "doc_version>=1.8 <",
        "doc_version=",
    ],
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
        "date=2024-0*",
        "date!=2024-3-9",
        "author.name=x",
        "tags!=x",
    ],
)
def test_a_key_that_some_document_has_may_be_asked_for(expression: str) -> None:
    checked(parse([expression]), DOCUMENTS)


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
        ("date=yesterday", "date holds dates, and yesterday is none", "write date=YYYY-MM-DD"),
        ("date!=", "date holds dates, and nothing is none", "write date!=YYYY-MM-DD"),
        ("date>=2024-13-01", "date holds dates, and 2024-13-01 is none", "write date>=YYYY-MM-DD"),
        ("date>=2024-02-30", "date holds dates, and 2024-02-30 is none", "date>=YYYY-MM or date>=YYYY"),
        ("author=Ada", "author has keys of its own, and no value", "ask for author.name"),
    ],
)
def test_a_filter_that_can_only_be_a_slip_is_refused_with_the_keys_that_exist(expression, message, hint) -> None:
    with pytest.raises(FilterError) as caught:
        checked(parse([expression]), DOCUMENTS)
    assert repr(expression) in caught.value.message
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_corpus_of_many_keys_names_the_commonest() -> None:
    documents = [{f"key{number:03}": 1 for number in range(100)}, {"key050": 2}]
    with pytest.raises(FilterError) as caught:
        checked(parse(["status=draft"]), documents)
    assert "type, key050, key000" in caught.value.hint
    assert caught.value.hint.endswith("and 84 more")


def test_value_may_hold_operators_and_be_empty() -> None:
    assert parse(["url=https://x/?a=b"]) == (Filter("url", "=", "https://x/?a=b"),)
    assert parse(["tag="]) == (Filter("tag", "=", ""),)
    assert str(Filter("date", ">=", "2024")) == "date>=2024"


def test_keys_that_an_error_names_can_be_asked_for() -> None:
    documents: list[dict[str, Any]] = [{"my key": 1, "og:type": 1, "it's": 1, "a\"b'c": 1, "x": {"y z": 1}}]
    with pytest.raises(FilterError) as caught:
        checked(parse(["nothing=1"]), documents)
    assert caught.value.hint.endswith('type, "it\'s", "my key", og:type, "x.y z"')
    for key in ('"my key"', "og:type", '"it\'s"', '"x.y z"'):
        (found,) = checked(parse([f"{key}=1"]), documents)
        assert str(found) == f"{key}=1"


@given(st.text(min_size=1).filter(lambda key: not ("'" in key and '"' in key)), st.sampled_from(["=", "<", ">="]))
def test_a_filter_is_read_as_it_is_written(key: str, operator: str) -> None:
    one = Filter(key, operator, "1.2")
    if key not in ("path", "title"):
        assert parse([str(one)]) == (one,)


# ---------------------------------------------------------------- dates

SPELLINGS = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%B %d, %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%a, %d %b %Y %H:%M:%S +0000",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%d %H:%M",
)
DAYS = st.dates(datetime.date(1000, 1, 1))


def dated(value: object) -> Fields:
    return Fields("a.md", "A", "markdown", {"date": value})


@given(DAYS, DAYS, st.sampled_from(SPELLINGS), st.sampled_from(SPELLINGS))
def test_the_order_of_dates_does_not_depend_on_their_spelling(
    day: datetime.date, other: datetime.date, spelling: str, wanted: str
) -> None:
    """A time of midnight is within its day, so that only days are asked for."""
    asked = other.strftime(wanted) if "%H" not in wanted else f"{other.year}-{other.month}-{other.day}"
    document = dated(day.strftime(spelling))
    assert matches(parse([f"date>={asked}"]), document) == (day >= other)
    assert matches(parse([f"date<{asked}"]), document) == (day < other)
    assert matches(parse([f"date={asked}"]), document) == (day == other)
    assert matches(parse([f"date={day.year}-{day.month}", f"date<={day.year}", f"date>={day.year}"]), document)


MOMENTS = st.datetimes(datetime.datetime(1000, 1, 2), datetime.datetime(9999, 12, 30))
MINUTES = st.integers(-23 * 60, 23 * 60)


@given(MOMENTS, MINUTES, MINUTES)
def test_a_moment_is_the_same_in_every_zone(at: datetime.datetime, here: int, there: int) -> None:
    zones = [datetime.timezone(datetime.timedelta(minutes=minutes)) for minutes in (here, there)]
    mine, other = (dates.read(at.replace(tzinfo=datetime.UTC).astimezone(zone).isoformat()) for zone in zones)
    assert mine is not None
    assert other is not None
    assert mine.against(other) == 0


@given(st.text() | st.from_regex(r"\d{1,4}[-/. ]\d{1,2}[-/. ]\d{1,4}", fullmatch=True))
def test_any_text_is_a_date_that_exists_or_none(text: str) -> None:
    if found := dates.read(text):
        datetime.date(*(*found.calendar, 1, 1)[:3])


@pytest.mark.parametrize(
    "text", ["", "soon", "2024-02-30", "2024-13", "31.04.2024", "03/05/2024", "May", "2024-03-05 25:00", "1.2.3"]
)
def test_what_is_no_date_is_read_as_none(text: str) -> None:
    assert dates.read(text) is None


MIXED: list[dict[str, Any]] = [
    {"date": "2024-03-05", "start": "2024-03-05", "count": 3, "since": "1.2", "release": "2.0"},
    {"date": "March 5, 2023", "start": "2024-05-01", "count": 2024, "since": "2024-01-01", "release": "2.10"},
    {"date": "05.03.2022", "start": "never", "count": 20, "since": "1.10", "release": "1.9"},
    {"date": "soonish", "published": True, "updated": 3},
]


def found(*expressions: str) -> list[int]:
    conditions = checked(parse(expressions), MIXED)
    return [at for at, metadata in enumerate(MIXED) if matches(conditions, Fields("", "", "", metadata))]


def test_one_value_that_is_no_date_leaves_the_others_dates() -> None:
    assert found("date>2024-3-4") == found("date>=2024") == [0]
    assert found("date<2024") == [1, 2]
    assert found("date=2023-3-5") == found("date=March 5, 2023") == [1]
    assert found("date=soonish") == [3]
    assert found("start>=2024-03", "start<2024-4") == [0]
    for expression in ("date>=soonish", "start<soon", "start=sometime", "published>=2024-31"):
        with pytest.raises(FilterError, match="holds dates"):
            checked(parse([expression]), MIXED)


def test_numbers_versions_and_text_keep_their_order() -> None:
    assert found("count>5") == [1, 2]
    assert found("count=2024") == [1]
    assert found("since>1.9") == [1, 2]
    assert found("release>=2.0") == [0, 1]
    assert found("updated>=3") == [3]
    assert found("published=true") == [3]


# ---------------------------------------------------------------- filters that nothing meets

FEW = [
    Fields("a.md", "A", "markdown", {"status": "draft", "n": 1}),
    Fields("b.md", "B", "markdown", {"status": "final", "about": "a" * 50}),
    Fields("c.txt", "C", "text", {"status": "final", "place": "Oslo, Norway", "evil": "\x1b[2J"}),
]


@pytest.mark.parametrize(
    ("expressions", "notices"),
    [
        (["type=bogus"], ["no document has type=bogus; type is markdown or text"]),
        (["status=drafft"], ["no document has status=drafft; status is final or draft"]),
        (["n>1"], ["no document has n>1; n is 1"]),
        (["place=Oslo"], ['no document has place=Oslo; place is "Oslo, Norway"']),
        (["about=b"], ["no document has about=b"]),
        (["evil=x"], ["no document has evil=x"]),
        (["path=x*"], ["no document has path=x*"]),
        (["status!=*"], ["every document has status=*"]),
        (["status=draft", "type=text"], ["no document meets all of the filters status=draft, type=text"]),
        (
            ["status=x", "path=*", "format=y"],
            [
                "no document has status=x; status is final or draft",
                "no document has format=y; format is markdown or text",
            ],
        ),
    ],
)
def test_filters_that_no_document_meets_say_what_there_is(expressions: list[str], notices: list[str]) -> None:
    assert unmet(parse(expressions), FEW) == tuple(notices)


def test_many_values_are_not_named() -> None:
    documents = [Fields("a.md", "A", "markdown", {"tags": [f"t{n:02}", "all"]}) for n in range(12)]
    assert unmet(parse(["tags=x"]), documents) == ("no document has tags=x",)
    assert unmet(parse(["tags=x"]), documents[:11])[0].endswith(
        "tags is all, t00, t01, t02, t03, t04, t05, t06, t07, t08, t09 or t10"
    )


def test_a_key_of_numbers_is_compared_with_numbers() -> None:
    documents = [{"weight": 3}, {"weight": "10"}, {"weight": 2.5}, {"weight": "heavy"}]
    with pytest.raises(FilterError, match="weight holds numbers, and abc is none"):
        checked(parse(["weight>=abc"]), documents)
    (found,) = checked(parse(["weight>=2.7"]), documents)
    assert [matches([found], Fields("a", "", "text", one)) for one in documents[:3]] == [True, True, False]
    checked(parse(["weight=abc"]), documents)


@pytest.mark.parametrize(
    ("expression", "value", "met"),
    [
        ("release=1.1", "1.10", False),
        ("release=1.29", "v1.29", True),
        ("version>=1.10", 1.9, False),
        ("version<1.10", 1.9, True),
        ("author=Nan", "Nan", True),
        ("tags=[wip]", "[wip]", True),
        ("title=[RFC] Foo", "[RFC] Foo", True),
    ],
)
def test_what_is_written_is_what_is_asked_for(expression: str, value: object, met: bool) -> None:
    (found,) = parse([expression])
    title = str(value) if found.key == "title" else ""
    document = Fields("a.md", title, "markdown", {} if title else {found.key: value})  # type: ignore[dict-item]
    assert matches([found], document) == met


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2024-03-05 10:30 PM", (2024, 3, 5, 22, 30)),
        ("March 5, 2024, 12:05 a.m.", (2024, 3, 5, 0, 5)),
        ("2024-03-05 10:30 PST", (2024, 3, 5, 10, 30)),
    ],
)
def test_a_time_may_be_in_the_first_or_the_second_half_of_a_day(written: str, moment: tuple[int, ...]) -> None:
    from ragkit.dates import read

    found = read(written)
    assert found is not None and found.moment == moment
    assert read("2024-03-05 13:30 PM") is None
