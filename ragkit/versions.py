"""Which version a document is about, which documents are versions of one another, and which of them is the latest.

Pure. Knows paths, titles, front matter and the text of change logs; knows nothing of stores, chunks or queries.

    v1.29/setup.md, v1.30/setup.md            versions of one page: the paths differ in the version alone
    python3.11/, release-1.30/, 2.x/, 4.1rc2/ likewise; so are latest/ and next/ beside a number
    docs/setup.md, versioned_docs/version-2.0 as Docusaurus keeps them: docs is the next version
    docs/setup.md, docs/v1/setup.md           the page without a version is the current one
    version: 2.4 in the front matter          for pages beside each other, or in a folder named archive and the like
    app-old/CHANGELOG.md, app/CHANGELOG.md    two trees, if one's change log goes on where the other's ends

A plain number is no version (chapter-2, 2024), nor is a date. What is not sure makes no family: a page that is
wrongly taken for an older version of another is not found any more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import permutations
from pathlib import PurePosixPath
from typing import TypeAlias

from ragkit.domain import JSON
from ragkit.errors import UsageError

Order: TypeAlias = tuple[int, tuple[float, ...], str]
Member: TypeAlias = tuple["About", str]
"""A document and the version that its path says it is of."""

KEYS = ("doc_version", "version", "product_version", "release")
"""Keys of the front matter that name a version."""
CURRENT = "current"
"""The version of a page without one, whose older versions lie in folders of their own."""

_STEADY = ("current", "latest", "stable")  # the last is the best: latest is the development branch on some sites
_COMING = (
    "next",
    "dev",
    "devel",
    "develop",
    "main",
    "master",
    "trunk",
    "nightly",
    "unstable",
    "edge",
    "canary",
    "head",
)
_SHELVES = {"archive", "archived", "old", "older", "legacy", "previous", "deprecated", "new", *_STEADY, *_COMING}
_PRE = r"(?:[-._]?(?:alpha|beta|preview|pre|rc|dev|snapshot|a|b|m)[-._]?\d*)"
_DOTTED = rf"\d+(?:\.\d+)+(?:\.[x*])?{_PRE}?|\d+\.[x*]"
_NUMBER = rf"{_DOTTED}|\d+{_PRE}?"
_PREFIXED = re.compile(rf"(?:v|version|ver|release|releases|rel|branch|docs?|stable)[-_.]?({_DOTTED})|"
                       rf"(?:v|(?:version|ver|release|rel)[-_])({_NUMBER})", re.IGNORECASE)  # fmt: skip
_NAMED = re.compile(rf"([a-z][\w+]*?(?:-[a-z][a-z+]*)*)[-_]?v?({_DOTTED})((?:[-_][a-z][\w-]*)?)", re.IGNORECASE)
_BARE = re.compile(_DOTTED, re.IGNORECASE)
_LABEL = re.compile(rf"(?:v(?:ersion)?\s*)?({_NUMBER})(?:[-+ (].*)?", re.IGNORECASE)
_PARTS = re.compile(rf"v?(\d+(?:\.\d+)*)(\.[x*])?({_PRE}?).*", re.IGNORECASE | re.DOTALL)
_WRITTEN = re.compile(r"[^\s=!<>,]+")
_CONDITION = re.compile(rf"\s*(!=|>=|<=|=|<|>)?\s*({_WRITTEN.pattern})\s*")
_IN_TITLE = re.compile(r"\bv?\d+(?:\.\d+)+[\w.-]*|\bv\d+\b", re.IGNORECASE)
_DATE = re.compile(r"(?:19|20)\d\d\.(?:0\d|1[0-2]$|\d+\.)")
_LOG = re.compile(r"(?:change(?:s|log)|history|news)(?:\.(?:md|markdown|rst|txt|adoc))?", re.IGNORECASE)
_ABOUT_RELEASES = re.compile(
    r"(?:change(?:s|log)|history|news|releases?[-_]?notes?|what-?s[-_]?new|upgrad(?:e|es|ing)|migrat(?:e|ing|ions?)|"
    r"announcements?)(?:[-_](?:notes?|logs?|guides?|to|from|for|in|of|v?\d[\w.]*))*",
    re.IGNORECASE,
)
"""Names of what is written about each release and holds for it alone: the next one takes nothing back."""
_ORDINAL = re.compile(
    r"(?:.*[-_])?(?:appendix|ch|chap|chapter|day|example|exercise|fig|figure|lab|lesson|module|part|sec|section|step|"
    r"table|unit|week)s?",
    re.IGNORECASE,
)
"""Names of parts that are counted 1.1, 1.2."""
_RELEASE = re.compile(
    r"^(?:#{1,3}|={1,3}|\*)?[ \t]*+(?:version|release|[a-z][\w-]*)?[ \t]*+\[?v?(\d+(?:\.\d+)+[\w.+-]*)\]?"
    r"(?:\([^)\n]*\))?(?:[ \t]*[-–—(:,/][^\n]*)?$",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class About:
    """What is looked at of a document to tell its version."""

    id: int
    path: str
    title: str
    metadata: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """The version of every document that has one, and families: versions of one document, the latest first."""

    versions: Mapping[int, str]
    families: tuple[tuple[int, ...], ...] = ()


def find(documents: Sequence[About], text_of: Callable[[int], str]) -> Found:
    """Tell the versions of a corpus's documents; `text_of` is asked for change logs alone."""
    families = _Families(documents)
    logs = [_ChangeLog.of(one, text_of(one.id)) for one in documents if is_change_log(one.path)]
    families.by_path()
    families.by_front_matter()
    families.by_change_log([log for log in logs if log.releases])
    return families.found()


# ---------------------------------------------------------------- the order of versions


def order(version: str) -> Order:
    """Sorts versions, the latest last: branches to come, then pre-releases, releases, and what is called the latest.

    >>> sorted(["latest", "1.10", "1.9", "2.0rc1", "main", "1.x"], key=order)
    ['main', '2.0rc1', '1.9', '1.10', '1.x', 'latest']
    """
    name = version.casefold()
    if name in _STEADY:
        return 3, (float(_STEADY.index(name)),), name
    match = _PARTS.fullmatch(version)
    if match is None:
        return 0, (), name
    numbers = _numbers(match[1]) + ((float("inf"),) if match[2] else ())
    return (1 if match[3] else 2), numbers, match[3].casefold()


def _numbers(dotted: str) -> tuple[float, ...]:
    return tuple(float(part) for part in dotted.split("."))


def meets(version: str, operator: str, wanted: str) -> bool:
    """Whether a version is in a range; a version holds its patch releases, as a year holds its days.

    >>> meets("1.29.3", "=", "1.29"), meets("1.29.3", "<=", "v1.29"), meets("next", ">", "1")
    (True, True, False)
    >>> meets("1.29", ">=", "1.x"), meets("1.29", ">", "1.x"), meets("2.0", ">", "1.x")
    (True, False, True)
    """
    mine, other = version.casefold().removeprefix("v"), wanted.casefold().removeprefix("v")
    here, there = _PARTS.fullmatch(mine), _PARTS.fullmatch(other)
    if operator in ("=", "!="):
        held = here is not None and there is not None and not here[3] and not there[3] and _holds(there[1], here)
        return (mine == other or fnmatchcase(mine, other) or held) == (operator == "=")
    if here is None or there is None:
        return False
    bound = _numbers(there[1])  # 1.x is as far as 1 goes
    numbers = order(mine)[1][: len(bound)]
    return {">": numbers > bound, ">=": numbers >= bound, "<": numbers < bound, "<=": numbers <= bound}[operator]


def _holds(outer: str, inner: re.Match[str]) -> bool:
    """1.29 holds 1.29.3, and the branch 1.29.x, but 1 does not hold the branch 1.29.x."""
    wanted, numbers = _numbers(outer), _numbers(inner[1])
    return numbers == wanted if inner[2] else numbers[: len(wanted)] == wanted


def conditions(doc_version: str) -> tuple[tuple[str, str], ...]:
    """(operator, version) pairs of what a user wrote, all of which must hold.

    Raises UsageError where one of them names no version.

    >>> conditions("1.29"), conditions(">=1.28, <1.30")
    ((('=', '1.29'),), (('>=', '1.28'), ('<', '1.30')))
    """
    found = []
    for part in doc_version.split(","):
        match = _CONDITION.fullmatch(part)
        ordered = match is not None and match[1] not in (None, "=", "!=")
        if match is None or (ordered and not _PARTS.fullmatch(match[2])):
            raise UsageError(
                f"doc_version {doc_version!r} cannot be read: {part.strip() or 'nothing'} names no version",
                'write 1.29, ">=1.28, <1.30", latest or all',
            )
        found.append((match[1] or "=", match[2]))
    return tuple(found)


def is_written(version: str) -> bool:
    """Whether a text can stand for a version, or be a glob for several; whether there is one, the corpus knows."""
    return _WRITTEN.fullmatch(version) is not None


# ---------------------------------------------------------------- what one document says


@dataclass(frozen=True, slots=True)
class Place:
    """A version in a path: `skeleton` is the path with a hole where it stood."""

    version: str
    skeleton: str
    sure: bool = True
    """Whether its spelling leaves no doubt, so that titles need not agree."""


def in_path(path: str) -> Place | None:
    """The outermost version that a path names.

    >>> in_path("docs/v1.2/setup.md"), in_path("chapter-2/setup.md")
    (Place(version='1.2', skeleton='docs/{}/setup.md', sure=True), None)
    """
    parts = path.split("/")
    for at, part in enumerate(parts[:-1]):
        if _ABOUT_RELEASES.fullmatch(part):
            return None
        if place := _in_component(part):
            if at and parts[at - 1] == "versioned_docs":
                return Place(place.version, "/".join([*parts[: at - 1], "docs", "{}", *parts[at + 1 :]]))
            return Place(place.version, "/".join([*parts[:at], place.skeleton, *parts[at + 1 :]]), place.sure)
    if stem := _named(PurePosixPath(parts[-1]).stem):
        suffix = PurePosixPath(parts[-1]).suffix
        return Place(stem.version, "/".join([*parts[:-1], f"{stem.skeleton}{suffix}"]), sure=False)
    return None


def _in_component(part: str) -> Place | None:
    if match := _PREFIXED.fullmatch(part):
        version = match[1] or match[2]
        return None if _DATE.match(version) else Place(version, "{}")
    if match := _BARE.fullmatch(part):
        return None if _DATE.match(part) else Place(part, "{}", sure=False)
    return _named(part)


def _named(part: str) -> Place | None:
    """A name with a version, as python3.11 is, unless it says what else the number counts."""
    match = _NAMED.fullmatch(part)
    if match is None or _DATE.match(match[2]) or _ORDINAL.fullmatch(match[1]) or _ABOUT_RELEASES.fullmatch(match[1]):
        return None
    return Place(match[2], f"{match[1]}{{}}{match[3]}", sure=False)


def in_front_matter(metadata: Mapping[str, JSON]) -> str:
    """The version that front matter names, or "".

    >>> in_front_matter({"title": "Setup", "version": "v2.4"}), in_front_matter({"version": "draft"})
    ('2.4', '')
    """
    for key in KEYS:
        value = metadata.get(key)
        plain = isinstance(value, str | int | float) and not isinstance(value, bool)
        if plain and (match := _LABEL.fullmatch(str(value).strip())):
            return match[1]
    return ""


def is_change_log(path: str) -> bool:
    """Whether a file's name says that it lists releases."""
    return _LOG.fullmatch(PurePosixPath(path).name) is not None


def releases(text: str) -> tuple[tuple[str, str], ...]:
    """(version, its whole line) of each release in a change log, from the top.

    >>> releases("# Changes\\n\\n## 1.4.2 (2024-03-01)\\n\\n- Mended\\n")
    (('1.4.2', '## 1.4.2 (2024-03-01)'),)
    """
    return tuple(map(_release, _RELEASE.finditer(text)))


def _release(match: re.Match[str]) -> tuple[str, str]:
    return match[1], " ".join(match[0].split())


@dataclass(frozen=True, slots=True)
class _ChangeLog:
    folder: str
    """Of the tree that it is the log of."""
    releases: tuple[tuple[str, str], ...]
    entries: tuple[str, ...]
    """What is written of each release, its line included, blanks made one."""

    @classmethod
    def of(cls, document: About, text: str) -> _ChangeLog:
        found = list(_RELEASE.finditer(text))
        starts = [match.start() for match in found]
        entries = tuple(" ".join(text[one:end].split()) for one, end in zip(starts, [*starts[1:], None], strict=True))
        return cls(_folder(document.path), tuple(map(_release, found)), entries)

    def continues(self, older: _ChangeLog) -> bool:
        """Whether this log holds what the other says of its latest release, and a later one.

        Two packages may each have a release 1.0.0 of which they say nothing: that is no evidence.
        """
        version, line = older.releases[0]
        says_more = line.strip("#=*[] ").removeprefix("v") != version or older.entries[0] != line
        return says_more and older.entries[0] in self.entries[1:]


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


# ---------------------------------------------------------------- families


class _Families:
    """Gathers versions and families, the surest evidence first; a document is in one family at most."""

    def __init__(self, documents: Sequence[About]) -> None:
        self._documents = documents
        self._by_path = {document.path: document for document in documents}
        self._versions: dict[int, str] = {}
        self._families: list[tuple[int, ...]] = []
        self._taken: set[int] = set()

    def found(self) -> Found:
        return Found(dict(self._versions), tuple(self._families))

    def by_path(self) -> None:
        """Paths that differ in a version alone; of two spelled with doubt, the titles must agree, too."""
        groups: dict[tuple[str, str], list[Member]] = {}
        for document in self._documents:
            if place := in_path(document.path):
                self._versions[document.id] = place.version
                title = "" if place.sure else _bare_title(document.title)
                groups.setdefault((place.skeleton, title), []).append((document, place.version))
        for (skeleton, _), members in groups.items():
            self._add([*members, *self._unnumbered(skeleton, members)])

    def _unnumbered(self, skeleton: str, members: Sequence[Member]) -> Iterator[Member]:
        """The same page under a word such as latest, or without a version at all."""
        if "{}" not in skeleton.split("/"):
            return
        for word in (*_STEADY, *_COMING):
            if twin := self._by_path.get(skeleton.replace("{}", word)):
                yield twin, word
        if (plain := self._by_path.get(skeleton.replace("{}/", ""))) and plain.id not in self._versions:
            if any("versioned_docs/" in one.path for one, _ in members):
                yield plain, "next"
            elif any(_bare_title(one.title) == _bare_title(plain.title) for one, _ in members):
                yield plain, CURRENT

    def by_front_matter(self) -> None:
        """Pages of one title beside each other, or in folders whose names say that one is shelved."""
        groups: dict[tuple[str, str], list[Member]] = {}
        for document in self._documents:
            version = in_front_matter(document.metadata)
            if not version or document.id in self._versions:
                continue
            self._versions[document.id] = version
            folders = [part for part in document.path.split("/")[:-1] if part.casefold() not in _SHELVES]
            if document.title:
                groups.setdefault(("/".join(folders), _bare_title(document.title)), []).append((document, version))
        for members in groups.values():
            self._add(members)

    def by_change_log(self, logs: Sequence[_ChangeLog]) -> None:
        """Pages of one title at the same place of two trees, of which one's change log continues the other's."""
        roots = {log.folder: log for log in logs}
        trees: dict[str, list[About]] = {}
        for document in self._documents:
            folder = _folder(document.path)
            while folder and folder not in roots:
                folder = _folder(folder)
            if folder in roots:
                trees.setdefault(folder, []).append(document)
                self._versions.setdefault(document.id, roots[folder].releases[0][0])
        for newer, older in permutations(roots.values(), 2):
            if newer.continues(older):
                for document in trees.get(newer.folder, ()):
                    inside = document.path.removeprefix(newer.folder).lstrip("/")
                    twin = self._by_path.get(f"{older.folder}/{inside}".lstrip("/"))
                    if twin is not None and _bare_title(twin.title) == _bare_title(document.title):
                        self._add([(one, self._versions[one.id]) for one in (document, twin)])

    def _add(self, members: Iterable[Member]) -> None:
        """A family, unless fewer than two of its versions differ; what came as a word is noted as its version."""
        known = sorted({one.id: (one, version) for one, version in members if one.id not in self._taken}.values(),
                       key=lambda member: (order(member[1]), member[0].id), reverse=True)  # fmt: skip
        if len({version.casefold() for _, version in known}) < 2:
            return
        for one, version in known:
            self._versions.setdefault(one.id, version)
            self._taken.add(one.id)
        self._families.append(tuple(one.id for one, _ in known))


def _bare_title(title: str) -> str:
    """A title without the version in it."""
    return " ".join(_IN_TITLE.sub("*", title).casefold().split())


# ---------------------------------------------------------------- which of them are searched


def superseded(found: Found, among: Container[int] | None = None, named: Sequence[str] = ()) -> frozenset[int]:
    """The documents that stand back for another version of theirs: the latest, or those that a query names.

    With `among`, only those documents count. Of a family that has none of the named versions the latest remains.
    """
    behind: set[int] = set()
    for family in found.families:
        present = [id for id in family if among is None or id in among]
        firsts = (next((id for id in present if is_named(found.versions[id], one)), None) for one in named)
        chosen = {id for id in firsts if id is not None} or set(present[:1])
        behind.update(id for id in present if id not in chosen)
    return frozenset(behind)


def is_named(version: str, named: str) -> bool:
    """Whether a version is what a query names: 1.29 covers 1.29.4, and the other way round."""
    return meets(version, "=", named) or meets(named, "=", version)
