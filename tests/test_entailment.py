"""A cross-encoder with a label for entailment, as an engine of the faithfulness check."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from ragkit import Engine, Settings, config
from ragkit.entailment import entailing_label, open_entailment
from ragkit.errors import ModelNotFound, ModelUnsuitable, OfflineError
from ragkit.evaluation import agreement
from ragkit.evaluation.agreement import Item
from ragkit.models.prepare import prepare
from ragkit.testing import HashEmbedder
from ragkit.verify.grounding import ground
from tests import toy_models

TEXT = "Backups run every night at 02:00. They are kept for 30 days.\n\nThe web interface listens on port 8443.\n"
LABELS = {"0": "contradiction", "1": "entailment", "2": "neutral"}
PAIRS = [("the server is a node", "the port is a key"), ("restart the server", "stop")]


def save(folder: Path, labels: dict[str, str] | None = LABELS) -> Path:
    """A toy cross-encoder of three labels, named as given."""
    source = toy_models.save_cross_encoder(folder, labels=3)
    file = source / "config.json"
    data = json.loads(file.read_text(encoding="utf-8"))
    data["id2label"] = labels or data["id2label"]
    data["label2id"] = {label: int(at) for at, label in data["id2label"].items()}
    file.write_text(json.dumps(data), encoding="utf-8")
    return source


class Said:
    """Entails what it was told entails, and keeps what it was asked."""

    name = "said"

    def __init__(self, *entailing: str) -> None:
        self.entailing = entailing
        self.asked: list[tuple[str, str]] = []

    def entailed(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """1 for a premise that holds one of the texts."""
        self.asked.extend(pairs)
        return [float(any(text in premise for text in self.entailing)) for premise, _ in pairs]


def test_the_best_premise_decides_and_what_must_be_exact_is_checked_beside() -> None:
    model = Said("They are kept for 30 days.")
    found = ground("Backups stay for a month.", TEXT, min_support=0.5, entailment=model)
    assert (found.engine, found.support, found.supported) == ("nli", 1.0, True)
    assert ("They are kept for 30 days.", "Backups stay for a month.") in model.asked
    assert len(set(model.asked)) == len(model.asked)
    assert ground("Backups stay for 90 days.", TEXT, min_support=0.5, entailment=model).support <= 0.3
    assert ground("Penguins live in Antarctica.", TEXT, min_support=0.5, entailment=Said()).support == 0.0


def test_a_label_is_found_by_its_name_or_the_model_is_refused() -> None:
    assert entailing_label(["LABEL_0"], "one") == 0
    assert entailing_label(["not_entailment", "entailment"], "two") == 1
    with pytest.raises(ModelUnsuitable, match=r"LABEL_0, LABEL_1.*none is called entailment"):
        entailing_label(["LABEL_0", "LABEL_1"], "two")


@pytest.mark.slow
def test_a_prepared_model_gives_what_sentence_transformers_gives(tmp_path: Path) -> None:
    source = save(tmp_path / "nli")
    found = {}
    for engine in ("onnx", "sentence-transformers"):
        made = prepare(f"path:{source}", "nli", tmp_path / engine, engine=engine, prefer="fidelity")
        model = open_entailment(made.path, 1)
        assert model.entailed([]) == []
        found[engine] = model.entailed(PAIRS)
    assert found["onnx"] == pytest.approx(found["sentence-transformers"], abs=1e-3)


@pytest.mark.slow
def test_the_engine_takes_the_model_that_the_settings_name(tmp_path: Path) -> None:
    values = {"store.directory": str(tmp_path / "store"), "models.directory": str(tmp_path / "models")}
    own = {**values, "verify.nli_model": f"path:{save(tmp_path / 'nli')}"}
    with Engine(config.replace(Settings(), own), embedder=HashEmbedder()) as engine:
        found = engine.ground("The web interface listens on port 8443.", TEXT, engine="nli")
    assert found.engine == "nli"
    assert 0.0 < found.support < 1.0
    unnamed = {**values, "verify.nli_model": f"path:{save(tmp_path / 'unnamed', None)}"}
    refused = pytest.raises(ModelUnsuitable, match="none is called entailment")
    with Engine(config.replace(Settings(), unnamed), embedder=HashEmbedder()) as engine, refused:
        engine.ground("Backups run.", TEXT, engine="nli")
    with pytest.raises(ModelNotFound, match="ragkit models prepare"):
        open_entailment(tmp_path, 1)


def test_a_model_that_is_not_there_stops_a_measurement_and_fails_no_item(tmp_path: Path) -> None:
    values = {"store.directory": str(tmp_path), "models.directory": str(tmp_path / "models"), "offline": True}
    item = Item("1", "", TEXT, "Backups run every night.", 1)
    missing = pytest.raises(OfflineError, match="nli-deberta-v3-xsmall is not on this machine")
    with Engine(config.replace(Settings(), values), embedder=HashEmbedder()) as engine, missing:
        agreement.measure(engine, [item], name="one", faithfulness_engine="nli")
