"""Tiny, randomly initialised models of the real architectures, saved as sentence-transformers saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TEXT = (
    "a an the to of in is are and or not how what which when where why do does can set run use stop start restart "
    "server port file backup restore night service config key value list option default user group error log "
    "release memory disk network container cluster node pod volume secret token index search document line page"
)


def tokenizer() -> Any:
    """A WordPiece tokenizer over a few words and all letters."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = [chr(code) for code in range(97, 123)] + [str(digit) for digit in range(10)] + list(".,:;-_?!`'\"()/")
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *letters,
        *(f"##{letter}" for letter in letters),
        *TEXT.split(),
    ]
    vocabulary = {piece: place for place, piece in enumerate(dict.fromkeys(pieces))}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=128,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def _config(**more: Any) -> Any:
    from transformers import BertConfig

    return BertConfig(
        vocab_size=200,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
        initializer_range=0.2,
        **more,
    )


def save_bi_encoder(
    folder: Path, *, pooling: str = "mean", dense: int = 0, prompts: dict[str, str] | None = None
) -> Path:
    """A bi-encoder of 32 dimensions, or of `dense` if it has a dense layer behind the pooling."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules
    from transformers import BertModel

    torch.manual_seed(0)
    inner = folder.with_name(f"{folder.name}-transformer")
    BertModel(_config()).save_pretrained(inner)
    tokenizer().save_pretrained(inner)
    parts: list[Any] = [modules.Transformer(str(inner), max_seq_length=64), modules.Pooling(32, pooling_mode=pooling)]
    if dense:
        parts.append(modules.Dense(32, dense))
    SentenceTransformer(modules=parts, device="cpu", prompts=prompts).save(str(folder))
    return folder


def save_static(folder: Path, *, prompts: dict[str, str] | None = None) -> Path:
    """A table of 32 dimensions, a row for each token, with a big row for tokens that stand for no text."""
    import numpy as np
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    made = tokenizer().backend_tokenizer
    table = np.random.default_rng(2).normal(size=(made.get_vocab_size(), 32)).astype(np.float32)
    table[:5] = 100.0
    parts = [modules.StaticEmbedding(made, embedding_weights=table), modules.Normalize()]
    SentenceTransformer(modules=parts, device="cpu", prompts=prompts).save(str(folder))
    return folder


def save_cross_encoder(folder: Path, labels: int = 1, *, noise: float = 0.0) -> Path:
    """A cross-encoder, with one label as rerankers have or several. `noise` makes even its biases differ."""
    import torch
    from transformers import BertForSequenceClassification

    torch.manual_seed(1)
    model = BertForSequenceClassification(_config(num_labels=labels))
    with torch.no_grad():
        for weight in model.parameters() if noise else ():
            weight += noise * torch.randn_like(weight)
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder
