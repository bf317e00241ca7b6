"""Make ONNX graphs of others, or of a table: undo a quantisation, pool or score, fuse, quantise, save as onnxruntime
will run them.

The door of onnx and of onnxruntime's offline tools. Knows nodes and weights; knows nothing of which result is
kept, or of how fast and faithful it is.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragkit.encoder import EQUAL_LENGTHS, STATES, open_session
from ragkit.errors import MissingExtra, ModelUnsuitable

FUSED_TYPES = ("bert", "roberta", "xlm-roberta", "camembert", "electra", "mpnet", "distilbert")
"""Architectures laid out like BERT, whose attention onnxruntime can fuse."""

_MASK = 4
"""Which input of MultiHeadAttention is the mask."""


@dataclass(frozen=True, slots=True)
class Quantisation:
    """How weights and activations become bytes. Products of U8 activations and S8 weights saturate on a CPU without
    VNNI instructions unless the weights keep to 7 bits; U8 weights are slower there and never saturate."""

    name: str
    signed: bool
    seven_bits: bool


QUANTISATIONS = (
    Quantisation("int8", signed=True, seven_bits=False),
    Quantisation("int8-7bit", signed=True, seven_bits=True),
    Quantisation("uint8", signed=False, seven_bits=False),
)


def fuse(source: Path, target: Path, config: Mapping[str, Any]) -> bool:
    """Fuse attention and GELU nodes; false, and nothing written, where the graph does not allow it.

    Without a `config` the numbers are read off the graph. Additions in front of a layer norm stay by themselves:
    onnxruntime's kernel for both together adds up a row one number after the other, and takes five times as long.
    Where attention has nothing but a mask, the mask goes, too: without one a faster kernel serves, and the encoder
    then reads only texts of one length together.
    """
    heads, hidden = config.get("num_attention_heads", 0), config.get("hidden_size", 0)
    if config and (config.get("model_type") not in FUSED_TYPES or not heads or not hidden):
        return False
    _door()
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    options = FusionOptions("bert")
    options.enable_skip_layer_norm = False
    options.use_multi_head_attention = True
    with _quiet():
        try:
            model = optimize_model(
                str(source),
                model_type="bert",
                num_heads=heads,
                hidden_size=hidden,
                optimization_options=options,
                opt_level=0,
            )
            _take_masks(model)
            model.save_model_to_file(str(target))
        except Exception:  # a graph that it does not understand: onnxruntime's own passes still apply
            target.unlink(missing_ok=True)
            return False
    return True


def _take_masks(model: Any) -> None:
    """Remove the padding mask of every attention node, and say so in the graph; nothing where one has more inputs."""
    onnx = _door()
    nodes = [node for node in model.model.graph.node if "Attention" in node.op_type]
    if not nodes or any(node.op_type != "MultiHeadAttention" or any(node.input[_MASK + 1 :]) for node in nodes):
        return
    for node in nodes:
        del node.input[_MASK:]
    model.prune_graph()
    onnx.helper.set_model_props(model.model, {EQUAL_LENGTHS: "yes"})


def dequantise(source: Path, target: Path) -> None:
    """Weights that onnxruntime's dynamic quantisation made bytes, as floats again; any other graph as it is.

    What rounding took is not in them; but floats can be fused, and quantised as suits the processor at hand. A table
    that rows are gathered from stays in bytes: nothing is multiplied with it.
    """
    onnx = _door()
    model = onnx.load(str(source))
    nodes, numpy = model.graph.node, onnx.numpy_helper
    weights = {entry.name: entry for entry in model.graph.initializer}
    makers = {name: node for node in nodes for name in node.output}
    readers = {name: node for node in nodes for name in node.input}

    def value(name: str) -> Any:
        return numpy.to_array(weights[name]).astype("float32")

    floats = {}
    for node in nodes:
        scaler = makers.get(node.input[0]) if node.op_type == "MatMulInteger" else None
        if scaler is None or scaler.op_type != "DynamicQuantizeLinear" or node.input[1] not in weights:
            continue
        # Bytes times bytes, cast to floats, times (scale of the activations times scale of the weights).
        product = readers[readers[node.output[0]].output[0]]
        scales = [makers[name] for name in product.input if makers[name].op_type == "Mul"]
        scale = next((name for name in scales[0].input if name in weights), None) if scales else None
        if scale is None:
            continue
        name = f"{node.input[1]}_ragkit"
        zero = value(node.input[3]) if node.input[3:] and node.input[3] else 0
        floats[name] = numpy.from_array((value(node.input[1]) - zero) * value(scale), name)
        result = product.output[0]
        product.output[0] = f"{result}_ragkit"
        node.CopyFrom(onnx.helper.make_node("MatMul", [scaler.input[0], name], [result], name=node.name))
    model.graph.initializer.extend(floats.values())
    _drop_unused(model)
    onnx.save(model, str(target))


def _drop_unused(model: Any) -> None:
    """Leave out the nodes and weights that no output depends on."""
    needed = {output.name for output in model.graph.output}
    kept = []
    for node in reversed(model.graph.node):  # in topological order, so that readers come first
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    weights = [entry for entry in model.graph.initializer if entry.name in needed]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(reversed(kept))
    model.graph.initializer.extend(weights)


def quantise(source: Path, target: Path, how: Quantisation) -> None:
    """Weights to bytes, one scale for each output channel; activations are scaled when the model runs."""
    onnx = _door()
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        quantize_dynamic(
            str(source),
            str(target),
            per_channel=True,
            reduce_range=how.seven_bits,
            weight_type=QuantType.QInt8 if how.signed else QuantType.QUInt8,
            # Outputs of fused nodes have no inferred type; all of them are floats.
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )


def save_optimised(source: Path, target: Path) -> None:
    """Apply onnxruntime's graph passes once and save, so that opening the model does not repeat them."""
    with _quiet():
        open_session(source, save_to=target)
    if not target.is_file():
        raise ModelUnsuitable(f"onnxruntime could not save {target.name}")


def append_pooling(source: Path, target: Path, pooling: str) -> None:
    """Turn token states of shape (batch, sequence, width) into unit vectors of shape (batch, width).

    The states stay an output, `states`, behind the vectors.
    Raises ModelUnsuitable for a pooling that has no ONNX form here, or a graph without token states.
    """
    onnx = _door()
    model = onnx.load(str(source))
    states = next((out.name for out in model.graph.output if len(out.type.tensor_type.shape.dim) == 3), None)
    if states is None or pooling not in ("mean", "cls", "max"):
        raise ModelUnsuitable(f"{source.name} cannot be pooled by {pooling!r}")
    make, tensor = onnx.helper.make_node, onnx.helper.make_tensor
    kinds = onnx.TensorProto
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    axis = [tensor("ragkit_axis", kinds.INT64, [1], [1]), tensor("ragkit_last", kinds.INT64, [1], [-1])]
    nodes = [
        make("Cast", ["attention_mask"], ["ragkit_mask2"], to=kinds.FLOAT),
        make("Unsqueeze", ["ragkit_mask2", "ragkit_last"], ["ragkit_mask"])
        if opset >= 13
        else make("Unsqueeze", ["ragkit_mask2"], ["ragkit_mask"], axes=[2]),
    ]
    if pooling == "mean":
        nodes += [
            make("Mul", [states, "ragkit_mask"], ["ragkit_masked"]),
            _reduce(make, "ReduceSum", opset >= 13, "ragkit_masked", "ragkit_sum"),
            _reduce(make, "ReduceSum", opset >= 13, "ragkit_mask", "ragkit_count"),
            make("Div", ["ragkit_sum", "ragkit_count"], ["ragkit_pooled"]),
        ]
    elif pooling == "max":
        axis += [tensor("ragkit_one", kinds.FLOAT, [], [1.0]), tensor("ragkit_low", kinds.FLOAT, [], [-1e9])]
        nodes += [
            make("Sub", ["ragkit_one", "ragkit_mask"], ["ragkit_absent"]),
            make("Mul", ["ragkit_absent", "ragkit_low"], ["ragkit_penalty"]),
            make("Add", [states, "ragkit_penalty"], ["ragkit_masked"]),
            _reduce(make, "ReduceMax", opset >= 18, "ragkit_masked", "ragkit_pooled"),
        ]
    else:
        axis += [tensor("ragkit_first", kinds.INT64, [], [0])]
        nodes += [make("Gather", [states, "ragkit_first"], ["ragkit_pooled"], axis=1)]
    nodes.append(make("LpNormalization", ["ragkit_pooled"], ["embedding"], axis=-1, p=2))
    if states != STATES:
        nodes.append(make("Identity", [states], [STATES]))
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(axis)
    del model.graph.output[:]
    for name, shape in (("embedding", ["batch", "width"]), (STATES, ["batch", "sequence", "width"])):
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, kinds.FLOAT, shape))
    onnx.save(model, str(target))


def static_embedding(weights: Path, tokenizer: Path, target: Path) -> None:
    """Make a graph of a table with a vector for each token: a text's vector is the sum of its tokens', of length 1.

    Tokens that stand for no text, or an unknown one, say nothing, as in model2vec. The tokens' vectors are the output
    `states`. Raises ModelUnsuitable where there is not one table, or the tokenizer has more tokens than it has rows.
    """
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    onnx = _door()
    try:
        tensors = load_file(weights)
        about = json.loads(tokenizer.read_text(encoding="utf-8"))
        named = {entry["content"]: entry["id"] for entry in about["added_tokens"] if entry["special"]}
        unknown = about["model"].get("unk_token")
        silent = {
            *named.values(),
            *([about["model"]["vocab"][unknown]] if unknown in about["model"]["vocab"] else []),
        }
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelUnsuitable(f"{weights.parent.name} is no table with a tokenizer: {error}") from error
    tables = [tensor for tensor in tensors.values() if tensor.ndim == 2]
    if len(tensors) != 1 or len(tables) != 1:
        raise ModelUnsuitable(f"{weights.name} has {', '.join(sorted(tensors)) or 'nothing'}, not one table")
    table = tables[0].astype(np.float32)
    if max((*about["model"]["vocab"].values(), *silent)) >= len(table):
        raise ModelUnsuitable(f"{weights.name} has {len(table)} rows, fewer than the tokenizer has tokens")
    table[sorted(silent)] = 0.0
    make, kinds, info = onnx.helper.make_node, onnx.TensorProto, onnx.helper.make_tensor_value_info
    nodes = [
        make("Gather", ["table", "input_ids"], [STATES]),
        make("Cast", ["attention_mask"], ["mask2"], to=kinds.FLOAT),
        make("Unsqueeze", ["mask2", "last"], ["mask"]),
        make("Mul", [STATES, "mask"], ["masked"]),
        make("ReduceSum", ["masked", "axis"], ["sum"], keepdims=0),
        make("LpNormalization", ["sum"], ["embedding"], axis=-1, p=2),
    ]
    made = onnx.helper.make_graph(
        nodes,
        "static",
        [info(name, kinds.INT64, ["batch", "sequence"]) for name in ("input_ids", "attention_mask")],
        [
            info("embedding", kinds.FLOAT, ["batch", table.shape[1]]),
            info(STATES, kinds.FLOAT, ["batch", "sequence", table.shape[1]]),
        ],
        [
            onnx.numpy_helper.from_array(table, "table"),
            onnx.helper.make_tensor("axis", kinds.INT64, [1], [1]),
            onnx.helper.make_tensor("last", kinds.INT64, [1], [-1]),
        ],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(made, opset_imports=opset, ir_version=8), str(target))


def append_relevance(source: Path, target: Path) -> None:
    """Turn a cross-encoder's one logit, shape (batch, 1), into a relevance in [0, 1], shape (batch, 1).

    Raises ModelUnsuitable for a graph whose first output is something else.
    """
    onnx = _door()
    model = onnx.load(str(source))
    logit = model.graph.output[0]
    shape = [axis.dim_value for axis in logit.type.tensor_type.shape.dim]
    if len(shape) != 2 or shape[1] != 1:
        raise ModelUnsuitable(f"a reranker has one label; {source.name} gives {logit.name} of another shape")
    model.graph.node.append(onnx.helper.make_node("Sigmoid", [logit.name], ["score"]))
    del model.graph.output[:]
    float_ = onnx.TensorProto.FLOAT
    model.graph.output.append(onnx.helper.make_tensor_value_info("score", float_, ["batch", 1]))
    onnx.save(model, str(target))


def _reduce(make: Any, kind: str, axes_as_input: bool, value: str, result: str) -> Any:
    if axes_as_input:
        return make(kind, [value, "ragkit_axis"], [result], keepdims=0)
    return make(kind, [value], [result], axes=[1], keepdims=0)


def _door() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise MissingExtra(
            "onnx is not installed; preparing a model needs it", "pip install 'ragkit[export]'"
        ) from error
    return onnx


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice that onnxruntime's tools log on the root logger."""
    previous = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(previous)
