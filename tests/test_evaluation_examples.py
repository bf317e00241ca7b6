"""The examples in the docstrings of the evaluation say what is so."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import ragkit.evaluation

MODULES = sorted(file.stem for file in Path(ragkit.evaluation.__path__[0]).glob("[a-z]*.py"))


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"ragkit.evaluation.{name}")).failed == 0
