"""Units of a passage: apart, in order, verbatim, short enough to be quoted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ragkit.units import MAX_CHARACTERS, units

MARKDOWN = """# Install

Use pip. It takes a minute:

- with pip
1. with apt

| name | port |
|------|------|
| web  | 8443 |

```sh
pip install ragkit
# then
ragkit doctor
```
"""


def test_every_kind_is_told_apart() -> None:
    assert [(unit.kind, unit.text) for unit in units(MARKDOWN)] == [
        ("heading", "# Install"),
        ("sentence", "Use pip."),
        ("sentence", "It takes a minute:"),
        ("item", "with pip"),
        ("item", "with apt"),
        ("row", "| name | port |"),
        ("row", "| web  | 8443 |"),
        ("fence", "```sh"),
        ("code", "pip install ragkit"),
        ("code", "# then"),
        ("code", "ragkit doctor"),
        ("fence", "```"),
    ]


@given(st.text(alphabet="aB1 .\n\t#|-`*日。", max_size=1500))
def test_units_are_slices_in_order(text: str) -> None:
    end = 0
    for unit in units(text):
        assert text[unit.start : unit.end] == unit.text
        assert unit.text.strip()
        assert end <= unit.start < unit.end
        assert len(unit.text) <= MAX_CHARACTERS
        end = unit.end


def test_code_between_three_backticks_on_one_line_opens_no_fence() -> None:
    found = units("```make demo``` runs it. It takes a minute.\nThen it answers. That is all.\n")
    assert "code" not in {unit.kind for unit in found} and found[-1].text == "That is all."
