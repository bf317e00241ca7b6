"""What settings and options may be, where several places name the same choices, and the levels that comparisons use.

Knows no other module, so that the command line can show its help without loading one.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

Mode: TypeAlias = Literal["hybrid", "dense", "lexical"]
Expand: TypeAlias = Literal["none", "neighbours", "section"]
ExpansionMethod: TypeAlias = Literal["none", "feedback", "acronyms", "paraphrases", "hyde", "parts"]
FaithfulnessEngine: TypeAlias = Literal["fast", "words", "nli", "logits", "judge"]
Outcome: TypeAlias = Literal["added", "updated", "renamed", "unchanged", "removed", "skipped", "failed"]

ALPHA = 0.05
"""Of a comparison."""
GATE_ALPHA = 0.01
"""A gate is asked at every change: at .05 one harmless change in forty would be stopped."""
DROP = 0.05
"""The drop that a set must be able to show, or it is said to be too small."""
