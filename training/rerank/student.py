"""The model that is to learn: layers of the teacher at equal distances, over the word embeddings of the base.

Knows the names of BERT's weights, in files of PyTorch and in ONNX graphs; knows nothing of questions or training. A
door of onnx, torch and transformers. The base's embeddings of words stay as they are: so what a student is made of is
the base, which users have already, and what its layers differ by.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit.errors import ModelUnsuitable
from ragkit.models.built import HEAD, WEIGHTS
from ragkit.models.graph import dequantise

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Tensors = dict[str, NDArray[np.float32]]

GRAPH = "model.onnx"
WORDS = "embeddings.word_embeddings.weight"
_OWN = re.compile(r"(?:bert|classifier)\..*(?:weight|bias)")
_LAYER = re.compile(r"(bert\.encoder\.layer\.)(\d+)(\..*)")


def make_student(teacher: Path, base: Path, layers: int, target: Path) -> None:
    """Write a folder that transformers can load, of `layers` of the teacher's layers.

    Raises ModelUnsuitable where the teacher has fewer, or teacher and base are not both BERT and of one shape.
    """
    import torch
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoModelForSequenceClassification

    weights = {name: torch.tensor(tensor) for name, tensor in _weights(teacher).items()}
    weights[HEAD + WORDS] = load_file(base / WEIGHTS)[WORDS]
    depth = 1 + max((int(match[2]) for name in weights if (match := _LAYER.fullmatch(name))), default=-1)
    if not 0 < layers <= depth:
        raise ModelUnsuitable(f"the teacher has {depth} layers, and {layers} are asked for", "correct --layers")
    # What a teacher says of each text is right to a digit: dropout would guard against chance that is not there.
    sizes = {"num_labels": 1, "num_hidden_layers": layers, "hidden_dropout_prob": 0.0}
    config = AutoConfig.from_pretrained(str(base), attention_probs_dropout_prob=0.0, **sizes)
    model = AutoModelForSequenceClassification.from_config(config)
    try:
        model.load_state_dict(_kept(weights, {at * depth // layers: at for at in range(layers)}))
    except RuntimeError as error:
        reason = f"{teacher.name} and {base.name} do not fit: {str(error).splitlines()[-1].strip()}"
        raise ModelUnsuitable(reason, "choose another --teacher or --base") from error
    model.save_pretrained(str(target))
    for path in base.glob("*token*.json"):
        shutil.copyfile(path, target / path.name)


def _kept(weights: dict[str, Any], places: dict[int, int]) -> dict[str, Any]:
    """The weights of some layers, at their new places, and all that belong to no layer."""
    found = {}
    for name, tensor in weights.items():
        match = _LAYER.fullmatch(name)
        if match is None:
            found[name] = tensor
        elif int(match[2]) in places:
            found[f"{match[1]}{places[int(match[2])]}{match[3]}"] = tensor
    return found


def _weights(folder: Path) -> Tensors:
    """Of a cross-encoder with one label, by the names that transformers gives them."""
    if not (folder / WEIGHTS).is_file():
        return _of_graph(folder / GRAPH)
    from safetensors import numpy as io

    return io.load_file(folder / WEIGHTS)


def _of_graph(path: Path) -> Tensors:
    """Without the embeddings of words, which may be bytes."""
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        floats = Path(folder) / GRAPH
        dequantise(path, floats)
        graph = onnx.load(str(floats)).graph
    tensors = {_named(entry.name): onnx.numpy_helper.to_array(entry) for entry in graph.initializer}
    found = {name: tensor for name, tensor in tensors.items() if _OWN.fullmatch(name)}
    for name, table in tensors.items():
        if name.startswith(HEAD) and name.endswith("_quantized"):
            whole = name.removesuffix("_quantized")
            zero = tensors[f"{whole}_zero_point"].astype("float32")
            found[whole] = (table.astype("float32") - zero) * tensors[f"{whole}_scale"]
    for node in graph.node:  # an exporter names the node of a matrix, not the matrix, and turns that round
        matrix = tensors.get(_named(node.input[1])) if node.op_type in ("MatMul", "Gemm") else None
        if matrix is None:
            continue
        name = _named(re.sub(r"/(MatMul|Gemm)\w*$", "", node.name).strip("/").replace("/", "."))
        turned = any(one.name == "transB" and one.i for one in node.attribute)
        found[f"{name}.weight"] = matrix if turned else matrix.T.copy()
    return found


def _named(name: str) -> str:
    """As transformers names it, without what an exporter put in front."""
    return re.sub(r"^.*?\b(?=(?:bert|classifier)\b)", "", name)
