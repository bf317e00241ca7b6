"""GGUF files: what they say of themselves, quantised again, and compared."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragkit.config import Settings
from ragkit.errors import ModelCorrupt, ModelUnsuitable
from ragkit.models import encoders, gguf
from ragkit.models.encoders import Candidate
from ragkit.models.prepare import prepare


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def a_header(values: dict[str, Any]) -> bytes:
    """A GGUF header with string, uint32, float and string-array values."""
    out = b"GGUF" + struct.pack("<IQQ", 3, 0, len(values))
    for key, value in values.items():
        out += text(key)
        if isinstance(value, str):
            out += struct.pack("<I", 8) + text(value)
        elif isinstance(value, int):
            out += struct.pack("<II", 4, value)
        elif isinstance(value, float):
            out += struct.pack("<If", 6, value)
        else:
            out += struct.pack("<IIQ", 9, 8, len(value)) + b"".join(text(item) for item in value)
    return out


def test_header_gives_architecture_window_and_quantisation(tmp_path: Path) -> None:
    path = tmp_path / "toy.gguf"
    values = {
        "general.architecture": "llama",
        "tokenizer.ggml.tokens": ["a", "b", "longer"],
        "llama.context_length": 2048,
        "llama.block_count": 12,
        "llama.rope.freq_base": 10000.0,
        "general.file_type": 2,
        "tokenizer.chat_template": "{{ messages }}",
    }
    path.write_bytes(a_header(values))
    assert gguf.facts(path) == gguf.GgufFacts("llama", 2048, 12, "Q4_0", "toy", True)


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04", b"GGUF\x03\x00", a_header({"general.architecture": "llama"})[:-3] + b""]
)
def test_damaged_header_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(data)
    if data.startswith(b"GGUF\x03\x00\x00"):
        gguf.facts(path)  # cut within the last value: still readable, the name is short
        return
    with pytest.raises(ModelCorrupt, match=r"bad\.gguf"):
        gguf.facts(path)


def test_divergence_is_zero_for_the_same_distribution_and_grows_with_difference() -> None:
    reference = np.log(np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]], dtype=np.float32))
    near = np.log(np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1]], dtype=np.float32))
    far = np.log(np.array([[0.1, 0.2, 0.7], [0.8, 0.1, 0.1]], dtype=np.float32))
    same = gguf.compare(reference, reference)
    assert (same.divergence, same.agreement) == (0.0, 1.0)
    assert 0 < gguf.compare(reference, near).divergence < gguf.compare(reference, far).divergence
    assert gguf.compare(reference, far).agreement == 0


def test_speed_takes_the_fastest_that_passes_and_fidelity_the_nearest() -> None:
    slow = Candidate("float32", texts_per_second=10, agreement=1.0)
    fast = Candidate("int8", texts_per_second=30, agreement=0.993)
    wrong = Candidate("broken", texts_per_second=99, agreement=0.2, passes=False, reason="agreement 0.2")
    assert encoders.choose([slow, fast, wrong], "speed") is fast
    assert encoders.choose([slow, fast, wrong], "fidelity") is slow
    with pytest.raises(ModelUnsuitable, match="broken"):
        encoders.choose([wrong], "speed")


@pytest.mark.slow
def test_smallest_model_is_prepared_for_this_machine_and_only_the_winner_stays(models: None) -> None:
    made = prepare("smollm2-135m-instruct", "generator", Settings().models_directory)
    assert gguf.facts(made.path).quantisation == made.manifest["chosen"]
    assert {entry["name"] for entry in made.manifest["candidates"]} == {"Q4_1", "Q4_0", "Q8_0", "BF16"}
    assert sorted(path.name for path in made.path.parent.iterdir()) in (
        ["manifest.json", "model.gguf"],
        ["SmolLM2-135M-Instruct.Q4_1.gguf", "record.json"],
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
def test_quantising_again_keeps_the_models_facts_and_prints_nothing(
    models: None, tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    """llama.cpp would warn on stderr of each tensor that it has to quantise in another way."""
    shipped = Settings().models_directory / "files" / "smollm2-135m-instruct" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    gguf.requantise(shipped, tmp_path / "again.gguf", kind, 2)
    before, after = gguf.facts(shipped), gguf.facts(tmp_path / "again.gguf")
    assert (after.architecture, after.context_tokens, after.quantisation) == (before.architecture, 8192, kind)
    assert capfd.readouterr() == ("", "")
