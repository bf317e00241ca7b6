"""Where a corpus's files come from: its folders, what its corpus.toml says, and what a scan of them finds.

Knows paths, corpus.toml and scan rules; knows nothing of documents' contents, models or indexes.

corpus.toml lies in a folder that is ingested:

    [corpus]
    name = "handbook"                 # the corpus, unless --corpus names another
    title = "The company handbook"
    source = "https://example.org/handbook.git"
    licence = "CC-BY-4.0"
    base_url = "https://example.org/handbook/"
    root = "docs"                     # where the documents lie, relative to this file
    include = ["*.md"]                # globs as in .gitignore; --include replaces them
    exclude = ["drafts/"]             # added to --exclude
"""

from __future__ import annotations

import hashlib
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ragkit.config import IngestSettings
from ragkit.errors import CorpusEmpty, CorpusError, UsageError
from ragkit.loaders import EXTENSIONS
from ragkit.loaders.quality import useless_name
from ragkit.scan import Found, LeftOut, Rules, scan
from ragkit.store import Root

if TYPE_CHECKING:
    from ragkit.store import DocumentRecord, Store

CORPUS_FILE = "corpus.toml"
_PROJECT_MARKS = (".git", "pyproject.toml", "ragkit.toml")
_ABOUT = ("title", "source", "licence", "base_url")
_KEYS = {"name", "root", "include", "exclude", *_ABOUT}


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder (or file) to ingest, with what the corpus.toml in it says."""

    path: Path
    name: str = ""
    about: Mapping[str, str] = field(default_factory=dict)
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    described_in: str = ""


def open_folder(path: Path) -> Folder:
    """Look at a path given by the user. Raises UsageError when it does not exist or its corpus.toml is wrong."""
    try:
        here = path.expanduser().resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise UsageError(f"{path} does not exist", "check the spelling of the path") from error
    if not here.is_dir() or not (here / CORPUS_FILE).is_file():
        return Folder(here)
    table = _read(here / CORPUS_FILE)
    about = {key: table[key] for key in _ABOUT if table.get(key)}
    exclude = (f"/{CORPUS_FILE}", *table.get("exclude", ()))
    folder = Folder(here, table.get("name", ""), about, tuple(table.get("include", ())), exclude)
    if not table.get("root"):
        return folder
    return replace(folder, path=_inner(here, table["root"]), described_in=str(here))


def _read(file: Path) -> dict[str, Any]:
    try:
        table: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8")).get("corpus", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{file} cannot be read: {error}", "correct it, or move it away") from error
    if unknown := sorted(set(table) - _KEYS):
        raise UsageError(f"{file} has an unknown key corpus.{unknown[0]}", f"known are {', '.join(sorted(_KEYS))}")
    for key, value in table.items():
        wanted = "a list of strings" if key in ("include", "exclude") else "a string"
        strings = isinstance(value, list) and all(isinstance(one, str) for one in value)
        if not (strings if wanted == "a list of strings" else isinstance(value, str)):
            raise UsageError(f"{file}: corpus.{key} must be {wanted}, not {value!r}", "correct that line")
    return table


def _inner(here: Path, root: str) -> Path:
    """The folder that `root` names: within the corpus's own folder, or the project that it is part of.

    A corpus.toml comes with somebody else's files; it must not be able to have any folder read.
    """
    target = (here / root).resolve()
    projects = (parent for parent in here.parents if any((parent / mark).exists() for mark in _PROJECT_MARKS))
    if not target.is_relative_to(next(projects, here)):
        raise UsageError(f"{here / CORPUS_FILE}: root {root!r} leads out of it", "ingest that folder by its path")
    if not target.is_dir():
        raise UsageError(f"{here / CORPUS_FILE}: root {root!r} is not a folder", "correct that line")
    return target


def placed(known: Sequence[Root], folders: Sequence[Folder]) -> tuple[Root, ...]:
    """The corpus's roots with new folders among them, each with a prefix that keeps paths distinct.

    One folder alone needs no prefix; those that join it, and several that come together, get their names.
    """
    roots = list(known)
    fresh = [folder for folder in folders if str(folder.path) not in {root.path for root in roots}]
    fresh = list({folder.path: folder for folder in fresh}.values())
    for folder in fresh:
        if not roots and len(fresh) == 1:
            roots.append(Root(str(folder.path), "", folder.described_in))
            continue
        taken = {root.prefix for root in roots}
        plain = [Path(root.path) for root in roots if not root.prefix]
        stem = folder.path.name if folder.path.is_dir() else folder.path.parent.name
        names = (stem if number == 1 else f"{stem}-{number}" for number in range(1, 10_000))
        prefix = next(
            name for name in names if name not in taken and not any((root / name).exists() for root in plain)
        )
        roots.append(Root(str(folder.path), prefix, folder.described_in))
    return tuple(roots)


def look(
    roots: Sequence[Root], settings: IngestSettings, store_directory: Path
) -> tuple[dict[str, Found], dict[str, LeftOut], dict[str, str]]:
    """Scan every root: files to read and paths left out, by corpus path; and what corpus.toml files tell.

    Raises CorpusError when a root is gone: an unmounted disk must not empty a corpus.
    """
    found: dict[str, Found] = {}
    left_out: dict[str, LeftOut] = {}
    about: dict[str, str] = {}
    files: set[Path] = set()
    for root in roots:
        if not Path(root.path).exists():
            raise CorpusError(
                f"folder {root.path} of the corpus is gone; nothing was changed",
                "bring it back, or remove the corpus with `ragkit corpus remove NAME`",
            )
        folder = _settings_of(root)
        about = {**folder.about, **about}
        for one in _prefixed(root.prefix, scan(Path(root.path), _rules(folder, settings, store_directory))):
            if one.path in found or (isinstance(one, Found) and one.file in files):
                continue  # the same path, or the same file, from an earlier root
            if isinstance(one, Found):
                left_out.pop(one.path, None)
                found[one.path] = one
                files.add(one.file)
            else:
                left_out[one.path] = one
    return found, left_out, about


def again(store: Store, corpus: str) -> tuple[dict[str, Found], dict[str, LeftOut], dict[str, str]]:
    """What `look` gives, of the very documents of a corpus. Raises CorpusError unless each is what was ingested."""
    documents = list(store.documents(store.current_snapshot(corpus)))
    found = {one.path: file for one in documents if (file := _unchanged(one)) is not None}
    if changed := [one.path for one in documents if one.path not in found]:
        shown = ", ".join(changed[:3]) + (", ..." if len(changed) > 3 else "")
        raise CorpusError(
            f"{len(changed)} of {len(documents)} documents of corpus {corpus} are not what was ingested: {shown}",
            f"run `ragkit ingest --corpus {corpus}`, with the --include and --exclude that it was made with",
        )
    return found, {}, dict(store.corpus(corpus).about)


def _unchanged(document: DocumentRecord) -> Found | None:
    """A document's file, or None where it is gone or holds something else now."""
    file = document.file
    try:
        state = file.stat()
        same = (state.st_size, state.st_mtime_ns) == (document.size, document.mtime_ns)
        same = same or hashlib.sha256(file.read_bytes()).hexdigest() == document.sha256
    except OSError:
        return None
    return Found(document.path, file, state.st_size, state.st_mtime_ns) if same else None


def _settings_of(root: Root) -> Folder:
    """What the corpus.toml of a root says now."""
    folder = open_folder(Path(root.described_in or root.path))
    return folder if str(folder.path) == root.path else Folder(Path(root.path))


def _rules(folder: Folder, settings: IngestSettings, store_directory: Path) -> Rules:
    exclude = [*settings.exclude, *folder.exclude]
    store = store_directory.resolve()
    if store.is_relative_to(folder.path) and store != folder.path:
        exclude.append(f"/{store.relative_to(folder.path).as_posix()}/")
    return Rules(
        include=settings.include or folder.include,
        exclude=tuple(exclude),
        max_bytes=int(settings.max_file_size_mb * 1_000_000),
        gitignore=settings.gitignore,
        known=_readable,
        useless=useless_name,
    )


def _readable(name: str) -> bool:
    suffix = PurePosixPath(name).suffix.lower()
    return not suffix or suffix in EXTENSIONS


def _prefixed(prefix: str, results: Iterator[Found | LeftOut]) -> Iterator[Found | LeftOut]:
    return (replace(one, path=f"{prefix}/{one.path}") if prefix else one for one in results)


def nothing_matched(roots: Sequence[Root], left_out: Mapping[str, LeftOut]) -> CorpusEmpty:
    """The error for folders that hold nothing to read, with the commonest reasons."""
    where = ", ".join(root.path for root in roots)
    if not left_out:
        return CorpusEmpty(f"{where} holds no files", "name a folder with documents")
    reasons = Counter(one.reason.split(";")[0] for one in left_out.values()).most_common(3)
    shown = ", ".join(f"{count} {reason}" for reason, count in reasons)
    return CorpusEmpty(f"{where} holds no files to read ({shown})", "see --include, --exclude and .ragkitignore")
