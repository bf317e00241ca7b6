"""The HTML report in a real browser: it fits a phone, nothing complains, nothing is fetched, and filters work."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ragkit.evaluation import charts, figures, html, markdown
from ragkit.evaluation.commands import why_not
from ragkit.evaluation.compare import compare
from ragkit.evaluation.report import Report, Scored
from ragkit.evaluation.runs import Run
from ragkit.files import write_whole
from tests import browser
from tests.browser import Browser

NASTY = '</script><img src=x onerror="alert(1)"> & "quoted" ' + "unbreakable" * 12


def question(at: int, *, answers: bool) -> tuple[Scored, dict[str, object]]:
    good = at % 3 != 0
    text = f"How is thing {at} restored? {NASTY if at == 1 else ''}"
    scores = (
        {"Faithfulness": float(good), "RougeL": 0.4} if answers else {"nDCG@10": float(good), "Recall@5": float(good)}
    )
    scored = Scored(f"q{at}", text, scores, ("fact", "how")[at % 2], 0.01 * (at + 1), (f"guide/part{at}.md:L3-L9",))
    passage = {
        "location": f"guide/{'very-long-folder-name/' * 6}part{at}.md:L3-L9",
        "heading": ["Guide", "Restore"],
        "score": 0.5,
        "text": f"Things are restored by `vault restore`.\n{NASTY}",
    }
    missed = (
        [] if good else [{"path": f"guide/part{at}.md", "heading": ["Restore"], "quote": "It's there.", "line": 7}]
    )
    trace: dict[str, object] = {"confidence": at / 20, "missed": missed}
    if answers:
        scored = replace(scored, status="answered" if good else "abstained", answer=f"Run it. {NASTY}")
        claim = {"text": f"Run it {NASTY}", "supported": good, "support": 0.9, "quotes": ["guide/a.md:L3"]}
        trace |= {"claims": [claim], "sources": [{**passage, "number": 1, "cited": good}], "reference": "Run it."}
    else:
        hit = {
            **passage,
            "relevant": good,
            "terms": ["restor"],
            "stages": {"dense": [1, 0.5], "lexical": [None, None]},
        }
        trace |= {"hits": [hit], "by_k": {"Recall": [0.5, float(good)], "nDCG": [0.5, float(good)]}}
    return scored, trace


def made(*, answers: bool = False, worse: bool = False) -> Run:
    found = [question(at, answers=answers) for at in range(20)]
    names = tuple(found[0][0].scores)
    scored = tuple(replace(one, scores=dict.fromkeys(names, 0.0)) if worse else one for one, _ in found)
    report = Report("answers" if answers else "retrieval", "set", "f" * 16, names, scored, {"corpus": "handbook"})
    settings = {"retrieve.mode": "dense" if worse else "hybrid", "rerank.model": "none"}
    return Run("docs", report, 2, "", "2026-01-01", {"settings": settings}, {one.id: trace for one, trace in found})


# ---------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if browser.executable() is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def artefacts(tmp_path: Path) -> Path:
    """Where screenshots are kept: RAGKIT_TEST_ARTEFACTS, or the test's own folder."""
    folder = Path(os.environ.get("RAGKIT_TEST_ARTEFACTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("task", ["retrieval", "answers"])
def test_the_page_fits_its_window_and_nothing_complains(
    chromium: Browser, tmp_path: Path, artefacts: Path, task: str, width: int, dark: bool
) -> None:
    answers = task == "answers"
    file = tmp_path / "report.html"
    old, new = made(answers=answers), made(answers=answers, worse=True)
    write_whole(file, html.page(new, compare(old, new)).encode())
    chromium.complaints.clear()
    chromium.open(file.as_uri(), width=width, dark=dark)
    chromium.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    wide = """[...document.querySelectorAll('body *')]
        .filter((one) => !one.closest('.scroll'))
        .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
        .map((one) => one.className)"""
    assert chromium.run(wide) == []
    assert chromium.run("document.documentElement.scrollWidth <= window.innerWidth")
    chromium.screenshot(artefacts / f"report-{task}-{width}-{'dark' if dark else 'light'}.png", whole=True)
    background = chromium.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background))) < 200) == dark
    assert chromium.complaints == []


@pytest.mark.slow
def test_questions_are_filtered_found_and_sorted(chromium: Browser, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    write_whole(file, html.page(made()).encode())
    chromium.open(file.as_uri(), width=1200)

    def shown() -> list[str]:
        found: list[str] = chromium.run(
            "[...document.querySelectorAll('details.q')].filter((q) => !q.hidden && q.offsetHeight).map((q) => q.id)"
        )
        return found

    def choose(id: str, value: str) -> None:
        event = "input" if id == "find" else "change"
        chromium.run(
            f"(({id}) => {{ {id}.value = '{value}'; {id}.dispatchEvent(new Event('{event}')); }})"
            f"(document.getElementById('{id}'))"
        )

    assert shown() == [f"q-q{at}" for at in range(20)]
    choose("state", "missed")
    assert shown() == [f"q-q{at}" for at in range(0, 20, 3)]
    choose("kind", "how")
    assert shown() == ["q-q3", "q-q9", "q-q15"]
    choose("find", "restored PART9.md")
    assert shown() == ["q-q9"]
    assert chromium.run("document.getElementById('shown').textContent") == "1 of 20 questions"
    choose("find", "nothing like it")
    assert shown() == []
    assert chromium.run("!document.getElementById('none').hidden")
    for id in ("find", "state", "kind"):
        choose(id, "")
    choose("sort", "slowest")
    assert shown()[0] == "q-q19"
    chromium.open("about:blank", width=1200)
    chromium.open(f"{file.as_uri()}#q-q7", width=1200)
    assert chromium.run("document.getElementById('q-q7').open")


# ---------------------------------------------------------------- without one


def loaded(page: str) -> list[str]:
    """What a page would fetch: addresses in attributes, but those that hold the data themselves."""
    found: list[str] = []

    class Addresses(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend(value or "" for name, value in attrs if name in ("src", "href", "action", "data"))

    Addresses().feed(page)
    return [address for address in found if not address.startswith("data:")]


def test_text_of_others_stays_text_and_nothing_is_loaded() -> None:
    page = html.page(made(answers=True), compare(made(answers=True), made(answers=True, worse=True)))
    assert page.count("<script>") == 1
    assert "<img" not in page
    assert loaded(page) == []
    assert "default-src 'none'" in page


def test_words_of_the_question_are_marked_and_a_miss_names_its_command() -> None:
    page = html.page(made())
    assert "<mark>restored</mark>" in page
    command = why_not(made(), "How's it?", {"path": "a b.md", "heading": [], "quote": "", "line": 3})
    assert command == "ragkit why-not 'How'\"'\"'s it?' 'a b.md:3' --corpus handbook --set rerank.model=none"


def test_markdown_says_what_changed_and_what_was_missed() -> None:
    new = made(worse=True)
    text = markdown.page(new, compare(made(), new))
    assert "| nDCG@10 | 0.650 | 0.000 | -0.650 |" in text
    assert "## By k" in text
    assert "7 places were missed" in text
    assert "ragkit why-not" in text


def test_a_run_without_traces_still_makes_a_page() -> None:
    bare = replace(made(), traces={}, about={})
    assert "<h2>Summary</h2>" in html.page(bare)
    assert "# docs" in markdown.page(bare)


def test_risk_falls_when_the_uncertain_are_left_out() -> None:
    run = made()
    points = figures.risk_coverage(run, "nDCG@10")
    assert points[-1] == (1.0, pytest.approx(7 / 20))
    assert [coverage for coverage, _ in points] == sorted(coverage for coverage, _ in points)
    assert 0.0 <= figures.area(points) <= 1.0
    assert sum(group.n for group in figures.calibration(run, "nDCG@10")) == 20


def test_charts_take_the_corner_cases() -> None:
    assert "NaN" not in charts.columns([0.0, 0.0], [0], label="x", x_label="x", marks={})
    assert "NaN" not in charts.lines({"a": []}, label="x", x_label="x", x_range=(1.0, 1.0))
    assert "nan" not in charts.whisker(0.0, 0.0, 0.0).lower()
