"""Read an experiment: what is measured on what, which settings it changes, and which values are swept.

Knows the TOML file and the names of settings; knows nothing of engines, results or statistics.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from ragkit import config
from ragkit.domain import JSON
from ragkit.errors import SettingsError
from ragkit.evaluation.datasets import Level
from ragkit.evaluation.report import Task
from ragkit.verify import ENGINES

_KEYS: Mapping[str, type] = {
    "name": str,
    "dataset": str,
    "corpus": str,
    "documents": list,
    "task": str,
    "metrics": list,
    "faithfulness_engine": str,
    "level": str,
    "limit": int,
}
"""What [experiment] may hold, and of which kind."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """One measurement, or one for each combination of the grid's values.

    `corpus` is an ingested one; `documents` are files and folders that are read into a corpus of the
    experiment's own. A BEIR set brings its documents itself.
    """

    name: str
    dataset: Path
    task: Task = "retrieval"
    corpus: str = ""
    documents: tuple[Path, ...] = ()
    metrics: tuple[str, ...] = ()
    """The first one is the one that runs are judged by; empty means the task's usual ones."""
    faithfulness_engine: str = "fast"
    """Another one than fast adds its metric beside Faithfulness."""
    level: Level | Literal[""] = ""
    limit: int | None = None
    settings: Mapping[str, JSON] = field(default_factory=dict)
    """Full path of a setting to its value."""
    grid: Mapping[str, tuple[JSON, ...]] = field(default_factory=dict)
    """Full path of a setting to the values that it takes in turn."""

    def variants(self) -> Iterator[tuple[str, dict[str, JSON]]]:
        """(name, settings) of each run: one for each combination of the grid's values, the last key fastest.

        >>> one = Experiment("docs", Path("q"), grid={"retrieve.mode": ("dense", "lexical")})
        >>> list(one.variants())
        [('docs[mode=dense]', {'retrieve.mode': 'dense'}), ('docs[mode=lexical]', {'retrieve.mode': 'lexical'})]
        """
        for values in itertools.product(*self.grid.values()):
            chosen = dict(zip(self.grid, values, strict=True))
            label = ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in chosen.items())
            yield self.name + (f"[{label}]" if label else ""), {**self.settings, **chosen}


def load(file: Path) -> Experiment:
    """An experiment from a TOML file; its paths are relative to the file.

    Raises SettingsError naming the key that is unknown, missing or of the wrong kind.
    """
    table = _read(file)
    if unknown := set(table) - {"experiment", "settings", "grid"}:
        raise SettingsError(
            f"{file}: unknown table [{min(unknown)}]", "an experiment has [experiment], [settings] and [grid]"
        )
    about = _about(file, table.get("experiment", {}))
    grid = {key: _values(file, key, value) for key, value in _flat(table.get("grid", {})).items()}
    settings = _flat(table.get("settings", {}))
    known = config.keys()
    for key in (*settings, *grid):
        if key not in known:
            raise SettingsError(f"{file}: unknown setting {key}", config.suggest(key))
    for key in grid:
        for value in grid[key]:
            config.replace(config.Settings(), {key: value})  # complains of values that the setting cannot have
    config.replace(config.Settings(), settings)
    return Experiment(
        name=about.get("name", file.stem),
        dataset=_beside(file, about["dataset"]),
        task=about.get("task", "retrieval"),
        corpus=about.get("corpus", ""),
        documents=tuple(_beside(file, path) for path in about.get("documents", ())),
        metrics=tuple(about.get("metrics", ())),
        faithfulness_engine=about.get("faithfulness_engine", "fast"),
        level=about.get("level", ""),
        limit=about.get("limit"),
        settings=settings,
        grid=grid,
    )


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"experiment {file} is not valid TOML: {error}", "correct that line") from error
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"experiment {file} cannot be read: {reason}") from error


def _about(file: Path, about: dict[str, Any]) -> dict[str, Any]:
    if isinstance(about.get("documents"), str):
        about = {**about, "documents": [about["documents"]]}
    for key, value in about.items():
        if key not in _KEYS:
            raise SettingsError(f"{file}: unknown key experiment.{key}", f"known are {', '.join(_KEYS)}")
        if not isinstance(value, _KEYS[key]) or isinstance(value, bool):
            raise SettingsError(f"{file}: experiment.{key} must be a {_KEYS[key].__name__}, not {value!r}")
    if "dataset" not in about:
        raise SettingsError(f"{file}: experiment.dataset is missing", "name a folder or a JSONL file of questions")
    choices: dict[str, tuple[str, ...]] = {
        "task": get_args(Task),
        "level": ("", *get_args(Level)),
        "faithfulness_engine": ENGINES,
    }
    for key, allowed in choices.items():
        if about.get(key, allowed[0]) not in allowed:
            raise SettingsError(f"{file}: experiment.{key} must be one of {', '.join(filter(None, allowed))}")
    if about.get("limit", 1) < 1:
        raise SettingsError(f"{file}: experiment.limit must be above 0")
    return about


def _values(file: Path, key: str, value: Any) -> tuple[JSON, ...]:
    if not isinstance(value, list) or not value:
        raise SettingsError(f"{file}: grid.{key} must be a list of values, not {value!r}")
    return tuple(value)


def _flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """`{"retrieve.mode": ...}` from dotted keys and from nested tables alike."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            found.update({f"{key}.{inner}": leaf for inner, leaf in _flat(value).items()})
        else:
            found[key] = value
    return found


def _beside(file: Path, path: str) -> Path:
    return file.parent / Path(path).expanduser()
