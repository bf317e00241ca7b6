"""Which files a scan reads, and what it says of the others; on real folders, links, pipes and sockets."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ragkit.scan import Found, LeftOut, Rules, scan


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    return folder


def write(root: Path, *paths: str, text: str = "text") -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


def found(root: Path, **rules: object) -> list[str]:
    return [one.path for one in scan(root, Rules(**rules)) if isinstance(one, Found)]  # type: ignore[arg-type]


def left_out(root: Path, **rules: object) -> dict[str, str]:
    results = scan(root, Rules(**rules))  # type: ignore[arg-type]
    return {one.path: one.reason for one in results if isinstance(one, LeftOut)}


def test_files_come_in_order_with_their_state(root: Path) -> None:
    write(root, "b.md", "a/z.md", "a/b/c.md")
    os.utime(root / "b.md", ns=(1, 1_234_567_890))
    results = list(scan(root, Rules()))
    assert [one.path for one in results] == ["a/b/c.md", "a/z.md", "b.md"]
    assert results[2] == Found("b.md", root.resolve() / "b.md", 4, 1_234_567_890)


def test_a_single_file_is_a_root_too(root: Path) -> None:
    write(root, "b.md", "c.md")
    assert found(root / "b.md") == ["b.md"]


def test_hidden_files_and_folders_are_left_out_with_one_row_each(root: Path) -> None:
    write(root, ".git/objects/x", ".env", "a.md", "sub/.hidden.md")
    assert found(root) == ["a.md"]
    assert left_out(root) == {".git/": "hidden", ".env": "hidden", "sub/.hidden.md": "hidden"}


def test_gitignore_holds_for_its_folder_and_below(root: Path) -> None:
    write(root, ".gitignore", text="*.log\n/build/\n!keep.log\n# comment\n")
    write(root, "sub/.gitignore", text="drafts/\n!deep.log\n/only.md\n")
    write(root, "a.log", "keep.log", "build/x.md", "sub/build/y.md", "sub/deep.log", "sub/b.log", "drafts/a.md")
    write(root, "sub/drafts/a.md", "sub/only.md", "sub/x/only.md", "a.md")
    expected = ["a.md", "drafts/a.md", "keep.log", "sub/build/y.md", "sub/deep.log", "sub/x/only.md"]
    assert found(root) == expected
    reasons = left_out(root)
    assert reasons["build/"] == "ignored by .gitignore"
    assert reasons["sub/only.md"] == "ignored by sub/.gitignore"
    assert reasons["sub/b.log"] == "ignored by .gitignore"


def test_ragkitignore_holds_even_without_gitignore(root: Path) -> None:
    write(root, ".gitignore", text="a.md\n")
    write(root, ".ragkitignore", text="b.md\n")
    write(root, "a.md", "b.md")
    assert found(root) == []
    assert found(root, gitignore=False) == ["a.md"]


def test_ragkitignore_may_take_back_what_git_ignores(root: Path) -> None:
    write(root, ".gitignore", text="*.md\n")
    write(root, ".ragkitignore", text="!a.md\n")
    write(root, "a.md", "b.md")
    assert found(root) == ["a.md"]


def test_include_and_exclude_globs(root: Path) -> None:
    write(root, "a.md", "b.txt", "docs/c.md", "docs/old/d.md", "drafts/e.md")
    assert found(root, include=("*.md",)) == ["a.md", "docs/c.md", "docs/old/d.md", "drafts/e.md"]
    assert found(root, include=("docs/**",), exclude=("old/",)) == ["docs/c.md"]
    assert found(root, exclude=("drafts/", "*.txt", "/docs/*.md")) == ["a.md", "docs/old/d.md"]
    assert left_out(root, include=("*.md",))["b.txt"] == "not among the included files"
    assert left_out(root, exclude=("drafts/",)) == {"drafts/": "excluded"}


def test_unknown_formats_are_named_unless_included(root: Path) -> None:
    write(root, "a.md", "b.xyz", "LICENSE")
    known = {"known": lambda name: name.endswith(".md")}
    assert found(root, **known) == ["a.md"]
    assert left_out(root, **known) == {"b.xyz": "unknown format .xyz", "LICENSE": "unknown format"}
    assert found(root, include=("*.xyz",), **known) == ["b.xyz"]


def test_useless_names_are_left_out_unless_the_user_names_them(root: Path) -> None:
    """A glob of a whole format or folder names no file; one that spells a part of its name does, as does its path."""
    write(root, "app.js", "app.min.js", "lib/min.js", "lib/app.min.js")
    useless = {"useless": lambda name: "minified" if name.endswith(".min.js") else ""}
    both = {"app.min.js": "minified", "lib/app.min.js": "minified"}
    assert left_out(root, **useless) == both
    for glob in ("*.js", "**/*.js", "/**", "*", "lib/", "lib/*", "lib/**/*.js"):
        assert left_out(root, include=(glob, "app.js"), **useless).items() >= {("lib/app.min.js", "minified")}
    for glob in ("*.min.js", "app.*", "app.min.js"):
        assert found(root, include=("*.js", glob), **useless) == [
            "app.js",
            "app.min.js",
            "lib/app.min.js",
            "lib/min.js",
        ]
    assert left_out(root, include=("*.js", "/lib/app.min.js"), **useless) == {"app.min.js": "minified"}
    named = [one for one in scan(root, Rules(include=("*.js", "app.min.js"))) if isinstance(one, Found) and one.named]
    assert [one.path for one in named] == ["app.min.js", "lib/app.min.js"]
    assert found(root / "app.min.js", **useless) == ["app.min.js"]


def test_large_files_are_left_out_with_their_size(root: Path) -> None:
    write(root, "a.md", text="x" * 2_500_000)
    assert left_out(root, max_bytes=2_000_000) == {"a.md": "larger than 2 MB (2.5 MB); see --max-file-size"}


def test_links_cannot_leave_the_root(root: Path, tmp_path: Path) -> None:
    write(tmp_path, "secret.md", "outside/s.md")
    (root / "file.md").symlink_to(tmp_path / "secret.md")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "up").symlink_to("..")
    (root / "passwd.md").symlink_to("/etc/passwd")
    assert found(root) == []
    assert set(left_out(root).values()) == {"a link out of the corpus folder"}


def test_links_to_what_is_read_anyway_are_not_read_twice(root: Path) -> None:
    write(root, "docs/a.md")
    (root / "a-link.md").symlink_to("docs/a.md")
    (root / "docs-link").symlink_to("docs")
    assert found(root) == ["docs/a.md"]
    assert left_out(root) == {
        "a-link.md": "a link to docs/a.md, which is read under that path",
        "docs-link/": "a link to docs/, which is read under that path",
    }


def test_loops_of_links_end(root: Path) -> None:
    write(root, "sub/a.md")
    (root / "sub" / "loop").symlink_to(root)
    (root / "self").symlink_to("self")
    (root / "ping").symlink_to("pong")
    (root / "pong").symlink_to("ping")
    (root / "dangling").symlink_to("nowhere")
    assert found(root) == ["sub/a.md"]
    reasons = left_out(root)
    assert reasons["self"] == reasons["ping"] == "a link that leads to itself"
    assert reasons["dangling"] == "a link to nothing"
    assert reasons["sub/loop/"] == "a link to ./, which is read under that path"


def test_links_do_not_uncover_what_is_hidden(root: Path) -> None:
    write(root, ".git/config")
    (root / "config.md").symlink_to(".git/config")
    assert found(root) == []
    assert left_out(root)["config.md"] == "a link to something hidden"


def test_a_root_may_itself_be_a_link(root: Path, tmp_path: Path) -> None:
    write(root, "a.md")
    (tmp_path / "link").symlink_to(root)
    assert found(tmp_path / "link") == ["a.md"]


def test_pipes_sockets_and_devices_are_never_opened(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(root / "pipe.md")
    monkeypatch.chdir(root)  # a socket's path has a short limit
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.md")
        (root / "device.md").symlink_to("/dev/null")
        reasons = left_out(root)
    assert reasons["pipe.md"] == "a named pipe, not a file"
    assert reasons["socket.md"] == "a socket, not a file"
    assert reasons["device.md"] == "a link out of the corpus folder"


def test_names_that_are_not_text_are_reported(root: Path) -> None:
    (root / os.fsdecode(b"bad-\xff.md")).write_text("x")
    assert list(left_out(root).values()) == ["its name is not valid UTF-8"]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable for root")
def test_unreadable_folder_is_a_failure(root: Path) -> None:
    write(root, "locked/a.md")
    (root / "locked").chmod(0)
    try:
        assert next(one for one in scan(root, Rules()) if isinstance(one, LeftOut)).failed
    finally:
        (root / "locked").chmod(0o700)
