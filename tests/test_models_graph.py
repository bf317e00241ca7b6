"""What graph rewriting keeps: a quantised file becomes floats that say the same, and scores what it scored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from ragkit import sbert
from ragkit.cross_encoder import open_cross_encoder
from ragkit.errors import MissingExtra, ModelUnsuitable
from ragkit.models import encoders, graph
from ragkit.models.catalogue import File, ModelSpec
from ragkit.models.graph import QUANTISATIONS
from tests import toy_models

PAIRS = [("restart the server", "the server can restart in the night"), ("a port", "set the option of the node")]
SPEC = ModelSpec("toy", role="reranker", files=(File("model.onnx"),), onnx=File("model.onnx"), max_tokens=64)


def operators(path: Path) -> set[str]:
    return {node.op_type for node in onnx.load(str(path)).graph.node}


def published(folder: Path, labels: int = 1, source: Path | None = None) -> tuple[Any, Path]:
    """A cross-encoder, and a folder as a package brings it: logits, weights in bytes, a tokenizer, no config."""
    import torch

    source = source or toy_models.save_cross_encoder(folder / "source", labels)
    model = sbert.load_cross_encoder(source, exportable=True)
    inner = sbert._classifier(model)
    encoded = model.tokenizer([a for a, _ in PAIRS], [b for _, b in PAIRS], padding=True, return_tensors="pt")
    sample = {name: encoded[name] for name in ("input_ids", "attention_mask", "token_type_ids")}

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = inner

        def forward(self, *inputs: Any) -> Any:
            return self.model(**dict(zip(sample, inputs, strict=True))).logits

    target = folder / "published"
    target.mkdir()
    sbert._export(Logits(), sample, folder / "floats.onnx", ("logits",))
    graph.quantise(folder / "floats.onnx", target / "model.onnx", QUANTISATIONS[0])
    sbert.save_tokenizer(model, target)
    return model, target


def test_a_quantised_file_becomes_floats_that_nothing_needs_bytes_for(tmp_path: Path) -> None:
    _, folder = published(tmp_path)
    graph.dequantise(folder / "model.onnx", tmp_path / "back.onnx")
    assert "MatMulInteger" in operators(folder / "model.onnx")
    assert operators(tmp_path / "back.onnx").isdisjoint({"MatMulInteger", "DynamicQuantizeLinear"})
    onnx.checker.check_model(str(tmp_path / "back.onnx"))


def test_a_file_of_floats_stays_as_it_is(tmp_path: Path) -> None:
    published(tmp_path)
    graph.dequantise(tmp_path / "floats.onnx", tmp_path / "same.onnx")
    before, after = (onnx.load(str(tmp_path / name)).graph for name in ("floats.onnx", "same.onnx"))
    assert list(before.node) == list(after.node)
    assert {one.name for one in after.initializer} <= {one.name for one in before.initializer}


def test_a_cross_encoder_that_is_an_onnx_file_alone_scores_like_the_original(tmp_path: Path) -> None:
    model, folder = published(tmp_path)
    target = tmp_path / "prepared"
    target.mkdir()
    made = encoders.prepare_onnx(
        folder, target, SPEC, "reranker", prefer="fidelity", threads=2, weights="onnx", progress=None
    )
    assert made["reference"] == "the repository's ONNX file" and made["dimension"] == 1
    manifest = {"name": "toy", "role": "reranker", "fingerprint": "toy", "files": {}, **made}
    (target / "manifest.json").write_text(json.dumps(manifest))
    scores = open_cross_encoder(target, "reranker", 2).run(PAIRS, "rerank").reshape(-1)
    assert np.allclose(scores, sbert.score(model, PAIRS).reshape(-1), atol=0.02)


def test_several_labels_are_no_relevance_and_need_what_exports_them(tmp_path: Path) -> None:
    _, folder = published(tmp_path, labels=3)
    with pytest.raises(ModelUnsuitable, match="one label"):
        graph.append_relevance(folder / "model.onnx", tmp_path / "scored.onnx")
    target = tmp_path / "prepared"
    target.mkdir()
    with pytest.raises(MissingExtra, match="several labels"):
        encoders.prepare_onnx(folder, target, SPEC, "nli", prefer="speed", threads=2, weights="onnx")
