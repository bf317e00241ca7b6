"""Make a code collection of Go, Java or JavaScript sources: find the function by what its comment says.

What `code.py` does for Python, more roughly: a question is the first sentence of the comment in front of a public
function, method or type; every such comment is removed from the corpus, and any part of the definition counts.

    python -m eval.collections.doc_comments DIR --language go --sources FOLDER
    ragkit ingest DIR/corpus --corpus go
    ragkit eval retrieval --dataset DIR --corpus go

Files and questions are drawn with a fixed seed. DIR should be outside the repository.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from eval.collections.code import first_sentence

LANGUAGES: Mapping[str, tuple[str, str, str]] = {
    # suffix, what a comment is, what a definition begins with
    "go": (".go", r"(?:^//[^\n]*\n)+", r"(?:func|type) "),
    "java": (
        ".java",
        r"^[ \t]*/\*\*.*?\*/[ \t]*\n",
        r"[ \t]*(?:@\w+[^\n]*\n[ \t]*)*(?:public|protected) [^\n;=]*[({]",
    ),
    "javascript": (".js", r"^[ \t]*/\*\*.*?\*/[ \t]*\n", r"[ \t]*(?:export |async |static |default )*[\w$ ]+\("),
}
FILES = 120
QUESTIONS = 400
_LEFT_OUT = re.compile(r"_test\.go$|/(?:testdata|test|internal|vendor|dist|build)/|package-info")
_MARKUP = re.compile(r"\{@\w+ ([^}]*)\}|</?\w+[^>]*>|[`*]")


def main() -> None:
    """Write DIR/corpus and DIR/questions.jsonl."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directory", type=Path, metavar="DIR")
    parser.add_argument("--language", choices=LANGUAGES, required=True)
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=13)
    options = parser.parse_args()
    suffix, comment, definition = LANGUAGES[options.language]
    draw = random.Random(options.seed)
    files = sorted(path for path in options.sources.rglob(f"*{suffix}") if not _LEFT_OUT.search(path.as_posix()))
    shutil.rmtree(options.directory / "corpus", ignore_errors=True)
    asked: dict[str, dict[str, object]] = {}
    twice: set[str] = set()
    for path in draw.sample(files, min(FILES, len(files))):
        text = path.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n")
        place = path.relative_to(options.sources).as_posix()
        for match in re.finditer(f"({comment})(?={definition})", text, re.M | re.S):
            question = question_of(match[1])
            source = "\n".join(_without(comment, text[match.end() :]).split("\n")[:4])
            if not question:
                continue
            key = question.casefold()
            twice |= {key} & asked.keys()
            asked[key] = {"question": question, "relevant": [{"path": place, "quote": source}]}
        file = options.directory / "corpus" / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_without(comment, text), encoding="utf-8")
    found = [row for key, row in asked.items() if key not in twice]
    draw.shuffle(found)
    lines = [json.dumps({"id": str(at), **row}) for at, row in enumerate(found[:QUESTIONS])]
    (options.directory / "questions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines)} questions in {options.directory}", file=sys.stderr)


def _without(comment: str, text: str) -> str:
    return re.sub(comment, "", text, flags=re.M | re.S)


def question_of(comment: str) -> str:
    """The first sentence of a comment without markup, and without the name that Go begins it with; "" where it is too
    short."""
    lines = [re.sub(r"^\s*(?:/\*\*|\*/|\*|//)?\s?|\s*\*/\s*$", "", line) for line in comment.strip().split("\n")]
    paragraph = " ".join("\n".join(lines).strip().partition("\n\n")[0].partition("\n@")[0].split())
    plain = _MARKUP.sub(lambda match: match[1] or "", paragraph)
    if comment.lstrip().startswith("//"):
        plain = plain.partition(" ")[2]
    said = first_sentence(plain)
    return "" if said.startswith("@") else said[:1].upper() + said[1:]


if __name__ == "__main__":
    main()
