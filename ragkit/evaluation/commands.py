"""The command that looks into one miss of a run.

Knows runs and the shell's quoting; knows nothing of how an autopsy is made.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from ragkit import config
from ragkit.domain import JSON
from ragkit.evaluation.runs import Run


def why_not(run: Run, question: str, gold: Mapping[str, JSON]) -> str:
    """`ragkit why-not` for a question and a gold place that was not found, under the settings of the run."""
    place = str(gold["path"]) + (f":{gold['line']}" if gold.get("line") else "")
    words = ["ragkit", "why-not", question, place or str(gold["quote"])]
    if corpus := run.report.about.get("corpus"):
        words += ["--corpus", str(corpus)]
    usual, known = config.Settings(), config.keys()
    for key, value in run.settings.items():
        if key in known and not key.startswith(("chunk.", "embed.")) and config.get(usual, key) != value:
            words += ["--set", f"{key}={','.join(value) if isinstance(value, list | tuple) else value}"]
    return shlex.join(words)
