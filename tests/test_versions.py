"""Versions of documents: told from paths, front matter and change logs, and the latest searched."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit import Engine, config
from ragkit.config import Settings
from ragkit.errors import FilterError, SnapshotError, UsageError
from ragkit.evaluation.autopsy import examine
from ragkit.index.versions import DocVersions
from ragkit.render import answer_json, search_json, search_text
from ragkit.testing import HashEmbedder
from ragkit.versions import (
    About,
    Found,
    conditions,
    find,
    in_front_matter,
    in_path,
    is_named,
    meets,
    order,
    releases,
    superseded,
)

# ---------------------------------------------------------------- what says a version


@pytest.mark.parametrize(
    ("path", "version", "skeleton"),
    [
        ("v1.2/setup.md", "1.2", "{}/setup.md"),
        ("docs/v2/setup.md", "2", "docs/{}/setup.md"),
        ("3.11/library/os.html", "3.11", "{}/library/os.html"),
        ("release-1.30/setup.md", "1.30", "{}/setup.md"),
        ("docs/2.x/setup.md", "2.x", "docs/{}/setup.md"),
        ("docs-4.1rc2/setup.md", "4.1rc2", "{}/setup.md"),
        ("usr/python3.11-doc/html/os.html", "3.11", "usr/python{}-doc/html/os.html"),
        ("site/versioned_docs/version-2.0/setup.md", "2.0", "site/docs/{}/setup.md"),
        ("v1.29/api/v1/pods.md", "1.29", "{}/api/v1/pods.md"),
        ("books/manual-1.2.pdf", "1.2", "books/manual{}.pdf"),
        ("migrate-mongo/v2.0/setup.md", "2.0", "migrate-mongo/{}/setup.md"),
    ],
)
def test_a_path_names_its_version(path: str, version: str, skeleton: str) -> None:
    place = in_path(path)
    assert place is not None
    assert (place.version, place.skeleton) == (version, skeleton)


@pytest.mark.parametrize(
    "path",
    [
        *("chapter-2/setup.md", "2/setup.md", "2024/notes.md", "2024.01.15/notes.md", "2024.03/notes.md"),
        *("pods-v1.md", "docs/setup.md", "v1", "1.2", "changes-1.2.md", "docs2/setup.md", "docs-2/setup.md"),
        *("utf-8/setup.md", "chapter-1.2/a.md", "week1.1/README.md", "course/unit-2.1/a.md", "whatsnew/v1.1.0.rst"),
        *("release-notes-0.20.0.md", "upgrading-to-2.0.md", "docs/release-notes/v1.2/index.md", "migrating-3.1.md"),
    ],
)
def test_numbers_and_dates_are_no_versions(path: str) -> None:
    assert in_path(path) is None


def test_front_matter_names_a_version_by_several_keys() -> None:
    assert in_front_matter({"version": "v2.4 (LTS)"}) == "2.4"
    assert in_front_matter({"release": 3}) == "3"
    assert in_front_matter({"min-server-version": "1.8", "version": True}) == ""


def test_releases_of_a_change_log_are_read_in_several_spellings() -> None:
    text = (
        "# Changelog\n\n## [Unreleased]\n\n## [2.0.0] - 2024-05-01\n- See 1.9.0 for more.\n\n"
        "## v1.9.1 (2024-02-01)\n\nVersion 1.9.0\n-------------\n\n1.8.0 (2023-01-01)\n==================\n"
    )
    assert [version for version, _ in releases(text)] == ["2.0.0", "1.9.1", "1.9.0", "1.8.0"]


# ---------------------------------------------------------------- order and ranges


def test_versions_are_ordered_by_number_with_what_is_not_released_last() -> None:
    rising = ["main", "2.0a1", "2.0rc1", "1.9", "1.10", "1.10.1", "1.x", "2.0", "latest", "stable"]
    assert sorted(rising, key=order) == rising


VERSIONS = st.lists(st.integers(0, 30), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))


@given(VERSIONS, VERSIONS)
def test_ranges_agree_with_each_other(version: str, wanted: str) -> None:
    assert meets(version, ">", wanted) != meets(version, "<=", wanted)
    assert meets(version, "<", wanted) != meets(version, ">=", wanted)
    assert meets(version, "=", wanted) != meets(version, "!=", wanted)
    assert meets(f"v{version}", "=", version)
    if meets(version, "=", wanted):
        assert meets(version, ">=", wanted)
        assert meets(version, "<=", wanted)


def test_what_is_no_number_is_in_no_range() -> None:
    assert not any(meets("next", operator, "1.0") for operator in ("<", "<=", "=", ">=", ">"))
    assert meets("1.29.x", "=", "1.29")
    assert meets("1.29.3", "=", "1.*")
    assert is_named("1.29", "1.29.4")
    assert not is_named("1.29", "1.2")


@pytest.mark.parametrize("doc_version", ["", " ", ">=1.8 <", ">=1.8 <2", ",", "1.8,", ">=", "=>1.8", "1.8 or 1.9"])
def test_a_range_that_cannot_be_read_is_refused_with_an_example(doc_version: str) -> None:
    with pytest.raises(UsageError, match="names no version") as caught:
        conditions(doc_version)
    assert repr(doc_version) in caught.value.message
    assert ">=1.28, <1.30" in caught.value.hint


@given(st.lists(st.tuples(st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), VERSIONS), min_size=1))
def test_a_range_is_read_as_it_is_written(wanted: list[tuple[str, str]]) -> None:
    assert conditions(" , ".join(f"{operator} {version}" for operator, version in wanted)) == tuple(wanted)


# ---------------------------------------------------------------- families


def families(
    pages: Mapping[str, str], matter: Mapping[str, str] | None = None, logs: Mapping[str, str] | None = None
) -> list[list[str]]:
    """Families of pages given as path and title, with versions in the front matter and texts of change logs."""
    about = [
        About(id, path, title, {"version": (matter or {}).get(path)})
        for id, (path, title) in enumerate(pages.items())
    ]
    found = find(about, lambda at: (logs or {}).get(about[at].path, ""))
    return [[about[id].path for id in family] for family in found.families]


def test_pages_whose_paths_differ_in_a_version_are_versions_of_one_the_latest_first() -> None:
    pages = {"v1.9/a.md": "Old name", "v1.10/a.md": "A", "v1.10/b.md": "B", "c.md": "C"}
    assert families(pages) == [["v1.10/a.md", "v1.9/a.md"]]


def test_bare_numbers_need_one_title() -> None:
    assert families({"1.1/index.md": "Tides", "1.2/index.md": "Moons"}) == []
    assert families({"1.1/index.md": "Tool 1.1 manual", "1.2/index.md": "Tool 1.2 manual"}) != []


def test_names_with_a_number_need_one_title_too() -> None:
    assert families({"tool1.1/index.md": "Tides", "tool1.2/index.md": "Moons"}) == []
    assert families({"tool1.1/index.md": "Tool 1.1 manual", "tool1.2/index.md": "Tool 1.2 manual"}) != []


def test_words_count_only_beside_a_number() -> None:
    assert families({"latest/a.md": "A", "old/a.md": "A", "main/a.md": "A"}) == []
    pages = {"docs/1.0/a.md": "A", "docs/latest/a.md": "A", "docs/main/a.md": "A", "docs/v2.0/a.md": "A"}
    assert families(pages)[0][0] == "docs/latest/a.md"


def test_a_page_without_a_version_is_the_current_one() -> None:
    assert families({"docs/a.md": "A", "docs/v1/a.md": "A"}) == [["docs/a.md", "docs/v1/a.md"]]
    assert families({"docs/a.md": "Something else", "docs/v1/a.md": "A"}) == []


def test_docusaurus_keeps_the_next_version_beside_released_ones() -> None:
    pages = {"docs/a.md": "A", "versioned_docs/version-1.0/a.md": "A", "versioned_docs/version-2.0/a.md": "A"}
    order = ["versioned_docs/version-2.0/a.md", "versioned_docs/version-1.0/a.md", "docs/a.md"]
    assert families(pages) == [order]


def test_front_matter_makes_families_of_pages_beside_each_other_alone() -> None:
    matter = {"setup.md": "2.0", "setup-1.md": "1.0", "archive/setup.md": "0.9", "other/setup.md": "3.0"}
    found = families(dict.fromkeys(matter, "Setup"), matter)
    assert found == [["setup.md", "setup-1.md", "archive/setup.md"]]


def test_a_change_log_that_goes_on_joins_two_trees() -> None:
    old = "# Changes\n\n## 1.4 (2024-01-01)\n\n## 1.3 (2023-06-01)\n"
    new = "# Changes\n\n## 1.5 (2024-06-01)\n\n## 1.4 (2024-01-01)\n"
    pages = {"app-old/CHANGES.md": "Changes", "app-old/a.md": "A", "app/CHANGES.md": "Changes", "app/a.md": "A"}
    logs = {"app-old/CHANGES.md": old, "app/CHANGES.md": new}
    assert ["app/a.md", "app-old/a.md"] in families(pages, logs=logs)
    assert families({**pages, "app-old/a.md": "Of something else"}, logs=logs) == [
        ["app/CHANGES.md", "app-old/CHANGES.md"]
    ]
    packages = {"app-old/CHANGES.md": "# Changes\n\n## 1.4\n", "app/CHANGES.md": "# Changes\n\n## 1.5\n\n## 1.4\n"}
    assert families(pages, logs=packages) == []  # each of two packages has a release of that number
    another = {**logs, "app-old/CHANGES.md": "# Changes\n\n## 1.4 (2020-02-02)\n"}
    assert families(pages, logs=another) == []


@given(st.lists(st.sampled_from(["1.0", "1.1", "2.0", "latest"]), unique=True, min_size=1), st.randoms())
def test_of_each_family_the_latest_or_the_named_version_remains(present: list[str], random: object) -> None:
    found = Found(dict(enumerate(["latest", "2.0", "1.1", "1.0"])), ((0, 1, 2, 3),))
    among = {id for id, version in found.versions.items() if version in present}
    behind = superseded(found, among)
    assert among - behind == {min(among)}
    for named in present:
        assert {found.versions[id] for id in among - superseded(found, among, [named])} == {named}


# ---------------------------------------------------------------- search and ask

PAGE = "# Limits\n\nThis page is about limits.\n\n## Upload limit\n\nThe upload limit of a file is {} megabytes.\n"


@pytest.fixture
def engine(settings: Settings, tmp_path: Path) -> Iterator[Engine]:
    tree = tmp_path / "tree"
    for version, limit in (("v1.9", 10), ("v1.10", 25)):
        (tree / version).mkdir(parents=True)
        (tree / version / "limits.md").write_text(PAGE.format(limit))
    (tree / "v1.9" / "quota.md").write_text("# Quota\n\nA quota is a limit of a whole folder.\n")
    usual = {"rerank.model": "none", "verify.min_relevance": 0.0, "generate.backend": "extractive"}
    with Engine(config.replace(settings, usual), embedder=HashEmbedder(256)) as engine:
        engine.ingest([tree], corpus="tree")
        yield engine


def paths(engine: Engine, query: str = "upload limit", **options: str) -> list[str]:
    return sorted({hit.passage.path for hit in engine.search(query, **options).hits})  # type: ignore[arg-type]


def test_the_latest_version_is_searched_and_pages_that_only_an_older_one_has(engine: Engine) -> None:
    assert paths(engine) == ["v1.10/limits.md", "v1.9/quota.md"]


def test_a_version_is_chosen_by_option_by_range_or_in_the_query(engine: Engine) -> None:
    assert (
        paths(engine, doc_version="1.9") == paths(engine, doc_version="<1.10") == ["v1.9/limits.md", "v1.9/quota.md"]
    )
    assert paths(engine, doc_version=">=1.9") == ["v1.10/limits.md", "v1.9/quota.md"]
    assert paths(engine, doc_version="all") == ["v1.10/limits.md", "v1.9/limits.md", "v1.9/quota.md"]
    named = engine.search("upload limit in v1.9")
    assert {hit.passage.path for hit in named.hits} == {"v1.9/limits.md", "v1.9/quota.md"}
    assert "searched version v1.9, which the query names" in named.notices
    patch = engine.search("upload limit in v1.9.3")
    assert "searched version 1.9 for v1.9.3, which the query names" in patch.notices
    elsewhere = engine.search("upload limit in v1.9", filters=["path=v1.10/*"])
    assert [hit.passage.path for hit in elsewhere.hits] == ["v1.10/limits.md"] and not elsewhere.notices


def test_a_filter_that_only_an_older_version_meets_finds_it(engine: Engine) -> None:
    found = engine.search("upload limit", filters=["path=v1.9/*"])
    assert {hit.passage.path for hit in found.hits} == {"v1.9/limits.md", "v1.9/quota.md"}


def test_a_version_that_no_document_has_is_an_error_that_names_those_there_are(engine: Engine) -> None:
    with pytest.raises(FilterError) as caught:
        engine.search("upload limit", doc_version="3.0")
    assert caught.value.hint == "versions of this corpus: 1.10, 1.9"


def test_a_phrase_that_only_an_older_version_holds_is_said_to_be_there(engine: Engine) -> None:
    result = engine.search('"10 megabytes"')
    assert result.hits == ()
    assert result.notices[0].startswith('only older versions hold "10 megabytes": 1.9; search them with')
    assert engine.search('"10 megabytes"', doc_version="1.9").hits
    assert engine.search('"11 megabytes"').notices[0].startswith("no passage holds")


def test_a_version_in_the_query_that_no_document_has_is_told(engine: Engine) -> None:
    told = "no document is of version 3.0; versions of this corpus: 1.10, 1.9"
    assert told in engine.search("upload limit in version 3.0").notices
    assert told in engine.ask("What is the upload limit in version 3.0?").notices
    assert not any("no document" in one for one in engine.search("upload limit of Python 3.11 in v1.9").notices)


def test_a_hit_says_where_another_version_differs(engine: Engine) -> None:
    result = engine.search('"upload limit"', limit=1)
    hit = result.hits[0]
    other = hit.other_versions[0]
    assert (hit.passage.doc_version, other.doc_version, other.same) == ("1.10", "1.9", False)
    assert other.passage is not None
    assert other.passage.location in search_text(result)
    shown = json.loads(json.dumps(search_json(result)))["hits"][0]
    assert shown["doc_version"] == "1.10"
    assert shown["other_versions"][0]["passage"]["path"] == "v1.9/limits.md"


def test_what_has_not_changed_is_told_to_be_the_same(engine: Engine, tmp_path: Path) -> None:
    for version in ("v1.9", "v1.10"):
        (tmp_path / "tree" / version / "names.md").write_text("# Names\n\nA name has at most 80 letters.\n")
    engine.ingest(corpus="tree")
    hit = engine.search("letters of a name", limit=1).hits[0]
    assert [(other.doc_version, other.same) for other in hit.other_versions] == [("1.9", True)]


def test_an_answer_says_which_version_it_is_from_and_which_one_differs(engine: Engine) -> None:
    answer = engine.ask("What is the upload limit of a file?")
    assert "25" in answer.text
    source = answer_json(answer)["sources"][0]
    assert (source["doc_version"], source["other_versions"][0]["same"]) == ("1.10", False)
    assert any("version 1.9 differs: v1.9/limits.md" in notice for notice in answer.notices)
    older = engine.ask("What is the upload limit of a file?", doc_version="1.9")
    assert "10" in older.text


def test_all_versions_are_searched_when_the_settings_say_so(engine: Engine, tmp_path: Path) -> None:
    settings = config.replace(engine.settings, {"retrieve.doc_versions": "all"})
    with Engine(settings, embedder=HashEmbedder(256)) as other:
        assert "v1.9/limits.md" in paths(other)
        assert "v1.9/limits.md" not in paths(other, doc_version="latest")


def test_a_new_version_takes_over_when_it_is_ingested(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "tree" / "v2.0").mkdir()
    (tmp_path / "tree" / "v2.0" / "limits.md").write_text(PAGE.format(50))
    engine.ingest(corpus="tree")
    assert paths(engine) == ["v1.9/quota.md", "v2.0/limits.md"]


def test_the_versions_of_a_corpus_are_counted(engine: Engine) -> None:
    assert engine.doc_versions("tree") == {"1.10": 1, "1.9": 2}


def test_the_autopsy_of_an_older_version_says_so(engine: Engine) -> None:
    found = examine(engine, "What is the upload limit?", "v1.9/limits.md", answer=False)
    assert found.lost == "version"
    assert "1.9" in found.verdict


def test_a_corpus_of_one_version_is_searched_as_ever(settings: Settings, docs: Path) -> None:
    with Engine(settings, embedder=HashEmbedder()) as engine:
        engine.ingest([docs], corpus="docs")
        hits = engine.search("restore a backup").hits
    assert all(hit.passage.doc_version == "" and hit.other_versions == () for hit in hits)


def test_a_damaged_file_of_versions_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "versions.json").write_text("[]")
    with pytest.raises(SnapshotError):
        _ = DocVersions(tmp_path).found
    assert DocVersions(tmp_path / "missing").found == Found({})


def test_no_two_families_share_a_page() -> None:
    folders = ["v1.0", "v2.0", "latest", "main", "docs", "archive/v1.0"]
    pages = {f"{folder}/{name}.md": name for folder, name in itertools.product(folders, "abc")}
    members = [path for family in families(pages) for path in family]
    assert len(members) == len(set(members))
