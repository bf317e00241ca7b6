"""The code collection: docstrings leave no trace in the corpus, and questions are what they said."""

from __future__ import annotations

import ast

from eval.collections.code import apart, eligible, question_of, strip

SOURCE = '''"""A module of tools."""

import os


class Box:
    """Keep things of one kind together."""

    def size(self):
        """Count the things that are in the :class:`~shop.Box`.

        More of it.
        """
        total = 0
        for thing in self.things:
            total += 1
        return total

    def empty(self):
        """Only said, never done here."""


def outer(x):
    """See elsewhere for all of this."""
    return os.name
'''


def test_no_docstring_is_left_and_the_code_still_parses() -> None:
    stripped, targets = strip(SOURCE, "tools/box.py", "tools")
    assert '"""' not in stripped and "total += 1" in stripped
    assert [node.name for node in ast.walk(ast.parse(stripped)) if isinstance(node, ast.FunctionDef)] == [
        "outer",
        "size",
        "empty",
    ]
    assert all(target.source in stripped and '"""' not in target.source for target in targets)


def test_questions_are_first_sentences_worth_asking() -> None:
    _, targets = strip(SOURCE, "tools/box.py", "tools")
    assert {target.name: target.question for target in targets if target.question} == {
        "Box": "Keep things of one kind together",
        "Box.size": "Count the things that are in the shop.Box",
    }
    assert {target.name: target.kind for target in targets}["Box"] == "class"


def test_special_methods_tests_and_stubs_are_not_asked_for() -> None:
    for name, body in [("__repr__", "a\n    b\n    c"), ("test_x", "a\n    b\n    c"), ("short", "return 1")]:
        source = f"def {name}():\n    {body}"
        assert not eligible(ast.parse(source).body[0], name, source)  # type: ignore[arg-type]
    wordless = ast.parse('def f():\n    """Too short."""\n').body[0]
    assert question_of(wordless) == ""  # type: ignore[arg-type]


def test_a_class_and_its_methods_are_not_taken_for_twins() -> None:
    assert apart("Box.size", "Box.empty") and apart("Box", "Boxes")
    assert not apart("Box", "Box.size") and not apart("Box.size", "Box")
