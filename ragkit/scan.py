"""Walks folders and says which files to read and why others are left out (the door of pathspec).

Knows names, ignore files, links and sizes; reads no file but .gitignore and .ragkitignore, and knows nothing of
formats, documents or databases. Ignore files hold for their folder and what is below it, as git has it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

GIT_IGNORE, OWN_IGNORE = ".gitignore", ".ragkitignore"
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@dataclass(frozen=True, slots=True)
class Rules:
    """Which files a scan reads. Globs are written as in .gitignore: `*.md`, `docs/**`, `drafts/`."""

    include: tuple[str, ...] = ()
    """Empty means every file that `known` accepts."""
    exclude: tuple[str, ...] = ()
    max_bytes: int = 20_000_000
    gitignore: bool = True
    known: Callable[[str], bool] = lambda name: True
    """Whether a file of this name may be readable at all; not asked about files that `include` matches."""
    useless: Callable[[str], str] = lambda name: ""
    """Why a file of this name is not worth reading, or ""; not asked about files that the user names."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file to read: its path relative to the root with forward slashes, and its state."""

    path: str
    file: Path
    size: int
    mtime_ns: int
    named: bool = False
    """Whether the user names it: it is the root, or a glob of `include` asks for more than folder and extension."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file or folder (its path ends in `/`) that is not read, and why. `failed` when it should have been."""

    path: str
    reason: str
    failed: bool = False


def scan(root: Path, rules: Rules) -> Iterator[Found | LeftOut]:
    """Every file under `root`, in the order of their paths; or `root` itself when it is a file."""
    yield from sorted(_Walk(root, rules).run(), key=lambda one: one.path)


class _Walk:
    """One scan. Links are looked at last, so that a file is known under its own path before any link to it."""

    def __init__(self, root: Path, rules: Rules) -> None:
        self._root = root.resolve()
        self._rules = rules
        self._include = _spec(rules.include) if rules.include else None
        self._globs = [_spec((glob,)) for glob in rules.include]
        self._exclude = _spec(rules.exclude)
        self._folders: dict[tuple[int, int], str] = {}
        """(device, inode) of folders that were entered, so that no loop of links is walked twice."""
        self._files: dict[tuple[int, int], str] = {}
        self._links: list[tuple[os.DirEntry[str], str, _Ignores]] = []

    def run(self) -> Iterator[Found | LeftOut]:
        if self._root.is_file():
            yield self._regular(self._root.name, self._root, self._root.stat())
            return
        yield from self._folder(self._root, "", _Ignores())
        while self._links:
            entry, path, ignores = self._links.pop()
            yield from self._link(entry, path, ignores)

    def _folder(self, folder: Path, path: str, ignores: _Ignores) -> Iterator[Found | LeftOut]:
        try:
            state = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            yield LeftOut(path or "./", f"folder cannot be read: {error.strerror}", failed=True)
            return
        self._folders[state.st_dev, state.st_ino] = path or "./"
        names = {entry.name for entry in entries}
        for name in (GIT_IGNORE, OWN_IGNORE):
            if name in names and (name == OWN_IGNORE or self._rules.gitignore):
                ignores = ignores.with_file(folder / name, path)
        for entry in entries:
            yield from self._entry(entry, path + entry.name, ignores)

    def _entry(self, entry: os.DirEntry[str], path: str, ignores: _Ignores) -> Iterator[Found | LeftOut]:
        try:
            path.encode("utf-8")
        except UnicodeEncodeError:
            yield LeftOut(path.encode("utf-8", "replace").decode(), "its name is not valid UTF-8")
            return
        if entry.is_symlink():
            self._links.append((entry, path, ignores))
            return
        try:
            is_folder = entry.is_dir(follow_symlinks=False)
            state = entry.stat(follow_symlinks=False)
        except OSError as error:
            yield LeftOut(path, f"cannot be looked at: {error.strerror}", failed=True)
            return
        shown = f"{path}/" if is_folder else path
        if reason := self._refused(shown, entry.name, ignores):
            if entry.name not in (GIT_IGNORE, OWN_IGNORE):
                yield LeftOut(shown, reason)
        elif is_folder:
            yield from self._folder(Path(entry.path), shown, ignores)
        else:
            yield self._regular(path, Path(entry.path), state)

    def _link(self, entry: os.DirEntry[str], path: str, ignores: _Ignores) -> Iterator[Found | LeftOut]:
        try:
            target = Path(entry.path).resolve(strict=True)
            state = target.stat()
        except RuntimeError:
            yield LeftOut(path, "a link that leads to itself")
            return
        except OSError as error:
            loop = error.errno == 40  # ELOOP
            yield LeftOut(path, "a link that leads to itself" if loop else "a link to nothing")
            return
        is_folder = stat.S_ISDIR(state.st_mode)
        shown = f"{path}/" if is_folder else path
        if reason := self._refused(shown, entry.name, ignores):
            yield LeftOut(shown, reason)
        elif not target.is_relative_to(self._root):
            yield LeftOut(shown, "a link out of the corpus folder")
        elif any(part.startswith(".") for part in target.relative_to(self._root).parts):
            yield LeftOut(shown, "a link to something hidden")
        elif known := (self._folders if is_folder else self._files).get((state.st_dev, state.st_ino)):
            yield LeftOut(shown, f"a link to {known}, which is read under that path")
        elif is_folder:
            yield from self._folder(target, shown, ignores)
        else:
            yield self._regular(path, target, state)

    def _regular(self, path: str, file: Path, state: os.stat_result) -> Found | LeftOut:
        for is_kind, kind in _KINDS:
            if is_kind(state.st_mode):
                return LeftOut(path, f"{kind}, not a file")
        if self._include is not None:
            if not self._include.match_file(path):
                return LeftOut(path, "not among the included files")
        elif not self._rules.known(file.name):
            return LeftOut(path, f"unknown format {file.suffix}" if file.suffix else "unknown format")
        if state.st_size > self._rules.max_bytes:
            limit = self._rules.max_bytes / 1e6
            return LeftOut(path, f"larger than {limit:g} MB ({state.st_size / 1e6:.1f} MB); see --max-file-size")
        named = file == self._root or self._is_named(path)
        if not named and (reason := self._rules.useless(file.name)):
            return LeftOut(path, reason)
        self._files[state.st_dev, state.st_ino] = path
        return Found(path, file, state.st_size, state.st_mtime_ns, named)

    def _is_named(self, path: str) -> bool:
        """Whether a glob of `include` matches this file, but not any file of its extension beside it."""
        any_other = str(PurePosixPath(path).with_name("\x7f" + PurePosixPath(path).suffix))
        return any(glob.match_file(path) and not glob.match_file(any_other) for glob in self._globs)

    def _refused(self, path: str, name: str, ignores: _Ignores) -> str:
        """Why a path is not even looked into, or ""."""
        if name.startswith("."):
            return "hidden"
        if self._exclude.match_file(path):
            return "excluded"
        return ignores.reason(path)


@dataclass(frozen=True, slots=True)
class _Ignores:
    """The ignore files from the root down to a folder."""

    levels: tuple[tuple[str, str, GitIgnoreSpec], ...] = ()
    """(folder with a trailing slash or "", file name, its rules), outermost first."""

    def with_file(self, file: Path, folder: str) -> _Ignores:
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return self
        return _Ignores((*self.levels, (folder, file.name, _spec(tuple(lines)))))

    def reason(self, path: str) -> str:
        """The innermost file with a rule about `path` decides."""
        for folder, name, spec in reversed(self.levels):
            decision = spec.check_file(path[len(folder) :]).include
            if decision is not None:
                return f"ignored by {folder}{name}" if decision else ""
        return ""


def _spec(lines: tuple[str, ...]) -> GitIgnoreSpec:
    import pathspec

    return pathspec.GitIgnoreSpec.from_lines(lines)
