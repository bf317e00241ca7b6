"""Settings: what they are called, what they mean, and where each value came from.

Reads TOML files, RAGKIT_* variables and `section.key=value` flags, later ones winning. Knows names, types
and defaults; knows nothing of what the values are used for, and opens no model, index or database.
"""

from __future__ import annotations

import dataclasses
import os
import tomllib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ragkit.choices import Expand, ExpansionMethod, Mode
from ragkit.errors import SettingsError
from ragkit.setting_types import coerce, in_words

PROJECT_FILE = "ragkit.toml"


def setting(default: Any, help: str, *, low: float | None = None, high: float | None = None) -> Any:
    """A dataclass field whose `help` becomes the documentation of the setting.

    A number must lie between `low` and `high`, both included, where they are given.
    """
    return field(default=default, metadata={"help": help, "low": low, "high": high})


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where documents, chunks, vectors and snapshots are kept."""

    directory: str = setting("", "Folder of the database and the index files; empty means RAGKIT_HOME/indices.")
    database_url: str = setting("", "SQLAlchemy URL of the database; empty means ragkit.db in the folder above.")
    keep_snapshots: int = setting(2, "Published snapshots kept for each corpus, the current one included.", low=1)


@dataclass(frozen=True, slots=True)
class ModelsSettings:
    """Where models come from."""

    directory: str = setting("", "Folder of downloaded and prepared models; empty means RAGKIT_HOME/models.")
    prefer: Literal["speed", "fidelity"] = setting(
        "speed", "What `models prepare` keeps: the fastest candidate that passes parity, or the most faithful."
    )
    hub_timeout_seconds: float = setting(
        10.0, "How long to wait for the model hub before trying the next source.", low=0
    )


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """Which files are read."""

    include: tuple[str, ...] = setting((), "Globs of files to read; empty means every known format.")
    exclude: tuple[str, ...] = setting((), "Globs of files and folders to leave out.")
    max_file_size_mb: float = setting(20.0, "Files larger than this many megabytes are skipped.", low=0)
    gitignore: bool = setting(True, "Honour .gitignore files (.ragkitignore is always honoured).")
    file_timeout_seconds: float = setting(60.0, "A file that takes longer than this to read has failed.", low=0)
    workers: int = setting(
        0, "Processes that read files; 0: as many as threads; -1: none, without time limits.", low=-1
    )


@dataclass(frozen=True, slots=True)
class ChunkSettings:
    """How documents are cut."""

    strategy: Literal["markdown", "recursive", "fixed", "sentence", "semantic"] = setting(
        "markdown", "markdown follows the document's structure, whatever its format; the others see only text."
    )
    size_tokens: int = setting(256, "Largest chunk, its heading path included, in tokens of the embedder.", low=8)
    overlap_tokens: int = setting(40, "Tokens repeated between neighbouring chunks of one section.", low=0)


@dataclass(frozen=True, slots=True)
class EmbedSettings:
    """The embedding model."""

    model: str = setting("all-MiniLM-L6-v2", "Catalogue name, hub:ORG/NAME@REV or path:DIR of the embedder.")
    code_model: str = setting(
        "auto",
        "Embedder of source code for questions that embed.model reads; auto takes the catalogue's, none the same.",
    )
    engine: Literal["auto", "onnx", "sentence-transformers"] = setting(
        "auto", "onnx never imports torch; auto takes onnx, preparing it on first use."
    )
    dimensions: int = setting(
        0, "Keep only so many dimensions of each vector, of a model that was trained for it; 0 keeps all.", low=0
    )
    batch_tokens: int = setting(
        0, "Tokens embedded in one batch, padding included; 0 takes what `models prepare` measured to be best.", low=0
    )


@dataclass(frozen=True, slots=True)
class LexicalSettings:
    """BM25 and the analysis of text into terms."""

    engine: Literal["auto", "rank_bm25", "tantivy"] = setting(
        "auto", "rank_bm25 is exact and built in memory; tantivy opens at once; auto chooses by corpus size."
    )
    language: str = setting("english", "Snowball stemmer and stop words; none turns both off.")
    auto_chunks: int = setting(2000, "Above this many chunks, auto takes tantivy.", low=0)


@dataclass(frozen=True, slots=True)
class DenseSettings:
    """The FAISS index."""

    exact_chunks: int = setting(
        200_000, "Up to this many chunks every vector is compared; above, IVF with SQ8.", low=0
    )
    probes: int = setting(32, "Lists visited by an IVF search.", low=1)


@dataclass(frozen=True, slots=True)
class RetrieveSettings:
    """How hits are found and fused."""

    mode: Mode = setting("hybrid", "Which indexes answer.")
    fusion: Literal["convex", "rrf"] = setting(
        "convex", "convex adds the cosine and the share of the best BM25 score; rrf adds reciprocal ranks."
    )
    dense_weight: float = setting(
        0.75, "Weight of the dense side in convex fusion; the lexical side has the rest.", low=0, high=1
    )
    document_share: float = setting(
        0.3,
        "Of a passage's dense score, the share of its document's vector, the mean of its passages; less in long "
        "documents, none in source code.",
        low=0,
        high=1,
    )
    rrf_k: int = setting(60, "The constant of reciprocal-rank fusion.", low=0)
    candidates: int = setting(100, "Hits asked of each index before fusion.", low=1)
    limit: int = setting(10, "Hits returned by a search.", low=1)
    duplicates: Literal["once", "all"] = setting(
        "once", "Of passages with nearly the same text, once returns the best one; all returns every one."
    )
    spelling: bool = setting(True, "Correct words that the corpus does not have to the one that is clearly meant.")
    expansion: ExpansionMethod = setting(
        "none", "What is asked besides the query; paraphrases and hyde ask the language model."
    )
    doc_versions: Literal["latest", "all"] = setting(
        "latest", "Of several versions of one document, latest searches the latest, or those that the query names."
    )


CROSS_ENCODER = "ms-marco-MiniLM-L12-v2"
"""The one that reranks by default."""


@dataclass(frozen=True, slots=True)
class RerankSettings:
    """What puts the hits into their last order."""

    model: str = setting(
        "auto",
        f"sentences: the embedder, by each passage's best sentence; a cross-encoder after it: a catalogue name, "
        f"hub:ORG/NAME@REV or path:DIR; auto: {CROSS_ENCODER} where it is here, else sentences; or none.",
    )
    engine: Literal["auto", "onnx", "sentence-transformers"] = setting("auto", "As for the embedder.")
    depth: int = setting(20, "How many fused hits are rescored.", low=0)
    weight: float = setting(
        0.0,
        "Weight of the reranker's score, the one before it having the rest; 0 takes what suits the reranker.",
        low=0,
        high=1,
    )

    @property
    def cross_encoder(self) -> str:
        """The model that is to be prepared, or "" when there is none."""
        return {"none": "", "sentences": "", "auto": CROSS_ENCODER}.get(self.model, self.model)

    @property
    def insists(self) -> bool:
        """Whether a cross-encoder is asked for by its name, and nothing else will do."""
        return self.cross_encoder == self.model != ""


@dataclass(frozen=True, slots=True)
class ContextSettings:
    """What the generator is shown."""

    budget_tokens: int = setting(900, "Tokens of sources in the prompt, counted by the generator's tokenizer.", low=1)
    candidates: int = setting(12, "Hits that sources are made of, before merging and the budget.", low=1)
    max_sources: int = setting(5, "Numbered sources in the prompt.", low=1)
    merge_gap_chars: int = setting(400, "Chunks of one document this close together become one source.", low=0)
    expand: Expand = setting(
        "none", "What else of its document comes with each hit: nothing, the chunk on either side, its section."
    )
    diversity: float = setting(
        0.0, "How much a source counts for saying what the others do not; 0 goes by score alone.", low=0, high=1
    )
    min_relative_score: float = setting(
        0.4, "Hits below this share of the best hit's score are left out.", low=0, high=1
    )


@dataclass(frozen=True, slots=True)
class GenerateSettings:
    """The language model."""

    backend: Literal["llama", "openai", "extractive"] = setting(
        "llama", "llama runs a GGUF file in-process; openai calls a server; extractive quotes sentences, no model."
    )
    model: str = setting(
        "qwen2.5-coder-0.5b-instruct",
        "Catalogue name, hub:ORG/NAME@REV:FILE or path:FILE; or the server's name for it.",
    )
    max_tokens: int = setting(256, "Longest answer in tokens.", low=1)
    temperature: float = setting(0.0, "0 is greedy and reproducible.", low=0, high=2)
    top_k: int = setting(40, "Sample among this many tokens.", low=0)
    top_p: float = setting(0.95, "Sample within this probability mass.", low=0, high=1)
    seed: int = setting(0, "Seed of the sampler.", low=0)
    context_tokens: int = setting(4096, "Window of the in-process model; less memory when smaller.", low=512)
    base_url: str = setting("", "OpenAI-compatible endpoint, such as http://127.0.0.1:8080/v1.")
    api_key_env: str = setting("OPENAI_API_KEY", "Name of the variable that holds the endpoint's key.")
    timeout_seconds: float = setting(120.0, "How long to wait for the endpoint.", low=0)
    prompts: str = setting("", "Folder with your own answer.txt and rewrite.txt; empty means the built-in prompts.")


@dataclass(frozen=True, slots=True)
class VerifySettings:
    """How answers are checked."""

    min_support: float = setting(0.5, "A claim with less support than this is unsupported.", low=0, high=1)
    unsupported: Literal["mark", "drop", "keep"] = setting("drop", "What happens to an unsupported claim.")
    min_supported_share: float = setting(
        0.5,
        "A draft with a smaller share of supported claims is dropped whole: what is left of it misleads.",
        low=0,
        high=1,
    )
    min_relevance: float = setting(
        0.35, "Below this relevance of the best passage, the question is declined.", low=0, high=1
    )
    quote_relevance: float = setting(
        0.8,
        "From this relevance on, a draft without support is replaced by quoted sentences, not by declining.",
        low=0,
        high=1,
    )
    judge_model: str = setting(
        "", "Language model that the faithfulness engines logits and judge ask; empty takes generate.model."
    )
    nli_model: str = setting(
        "nli-deberta-v3-xsmall", "Cross-encoder of the faithfulness engine nli: one with a label called entailment."
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, by section."""

    corpus: str = setting("", "Corpus used when --corpus is not given; empty means the only one.")
    threads: int = setting(0, "Threads for models and indexes; 0 means all cores.", low=0)
    offline: bool = setting(False, "Refuse everything that would open a connection to another machine.")
    store: StoreSettings = StoreSettings()
    models: ModelsSettings = ModelsSettings()
    ingest: IngestSettings = IngestSettings()
    chunk: ChunkSettings = ChunkSettings()
    embed: EmbedSettings = EmbedSettings()
    lexical: LexicalSettings = LexicalSettings()
    dense: DenseSettings = DenseSettings()
    retrieve: RetrieveSettings = RetrieveSettings()
    rerank: RerankSettings = RerankSettings()
    context: ContextSettings = ContextSettings()
    generate: GenerateSettings = GenerateSettings()
    verify: VerifySettings = VerifySettings()

    @property
    def store_directory(self) -> Path:
        """Folder of the database and the index files."""
        return Path(self.store.directory).expanduser() if self.store.directory else home() / "indices"

    @property
    def models_directory(self) -> Path:
        """Folder of the models."""
        return Path(self.models.directory).expanduser() if self.models.directory else home() / "models"

    @property
    def models_in_use(self) -> list[tuple[str, str]]:
        """(name, role) of the models that the settings call for: embedder, reranker, generator."""
        used = [(self.embed.model, "embedder")]
        if self.embed.code_model not in ("auto", "none"):
            used.append((self.embed.code_model, "embedder"))
        if self.rerank.cross_encoder:
            used.append((self.rerank.cross_encoder, "reranker"))
        if self.generate.backend == "llama":
            used.append((self.generate.model, "generator"))
        return used

    @property
    def thread_count(self) -> int:
        """Threads to use: the setting, or the cores this process may run on."""
        if self.threads:
            return self.threads
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings with the origin of every value that is not a default: `{"chunk.size_tokens": "ragkit.toml"}`."""

    settings: Settings
    origins: Mapping[str, str]
    file: Path | None = None


def home() -> Path:
    """RAGKIT_HOME, or the platform's folder for user data."""
    if value := os.environ.get("RAGKIT_HOME"):
        return Path(value).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("ragkit", appauthor=False))


def find_project_file(start: Path | None = None) -> Path | None:
    """RAGKIT_CONFIG, or the nearest ragkit.toml in `start` or above it, or none."""
    if value := os.environ.get("RAGKIT_CONFIG"):
        path = Path(value).expanduser()
        if not path.is_file():
            raise SettingsError(f"settings file {path} (from RAGKIT_CONFIG) does not exist", "unset it or correct it")
        return path
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder / PROJECT_FILE
    return None


def load(
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Iterable[str] | Mapping[str, Any] = (),
) -> Loaded:
    """Defaults, then `file`, then RAGKIT_SECTION_KEY variables, then `section.key=value` overrides.

    Raises SettingsError with the full path of an unknown key, or of a value of the wrong type or out of range.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    if file is not None:
        for key, value in _flatten(_read(file)):
            values[key], origins[key] = _relative_to(file, key, value), str(file)
    kinds = keys()
    for key in kinds:
        name = "RAGKIT_" + key.replace(".", "_").upper()
        if name in environ:
            values[key], origins[key] = environ[name], name
    pairs = overrides.items() if isinstance(overrides, Mapping) else map(_split_override, overrides)
    for key, value in pairs:
        values[key], origins[key] = value, "command line"
    for key, value in values.items():
        if key not in kinds:
            raise SettingsError(f"unknown setting {key} (from {origins[key]})", suggest(key))
        values[key] = _checked(key, value, kinds[key], origins[key])
    return Loaded(_build(values), origins, file)


def keys() -> dict[str, Any]:
    """Every setting's full path and its type annotation, in the order of the documentation."""
    found: dict[str, Any] = {}
    hints = typing.get_type_hints(Settings)
    for top in dataclasses.fields(Settings):
        kind = hints[top.name]
        if dataclasses.is_dataclass(kind):
            inner = typing.get_type_hints(kind)
            found.update({f"{top.name}.{f.name}": inner[f.name] for f in dataclasses.fields(kind)})
        else:
            found[top.name] = kind
    return found


def describe() -> list[tuple[str, str, Any, str]]:
    """(full path, type and range, default, help) of every setting."""
    rows = []
    for key, kind in keys().items():
        spec = _spec(key)
        rows.append((key, _allowed(key, kind), spec.default, spec.metadata["help"]))
    return rows


def range_of(key: str) -> tuple[float | None, float | None]:
    """The least and the greatest value of a setting, None where there is none."""
    about = _spec(key).metadata
    return about["low"], about["high"]


def get(settings: Settings, key: str) -> Any:
    """The value of a setting by its full path."""
    value: Any = settings
    for part in key.split("."):
        value = getattr(value, part)
    return value


def replace(settings: Settings, overrides: Mapping[str, Any]) -> Settings:
    """A copy with some values changed: `replace(s, {"retrieve.limit": 5})`."""
    kinds = keys()
    for key, value in overrides.items():
        if key not in kinds:
            raise SettingsError(f"unknown setting {key}", suggest(key))
        value = _checked(key, value, kinds[key], "overrides")
        section, _, name = key.rpartition(".")
        if section:
            inner = dataclasses.replace(getattr(settings, section), **{name: value})
            settings = dataclasses.replace(settings, **{section: inner})
        else:
            settings = dataclasses.replace(settings, **{name: value})
    return settings


def _spec(key: str) -> dataclasses.Field[Any]:
    section, _, name = key.rpartition(".")
    owner = typing.get_type_hints(Settings)[section] if section else Settings
    return next(spec for spec in dataclasses.fields(owner) if spec.name == name)


def _build(values: Mapping[str, Any]) -> Settings:
    return replace(Settings(), values)


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"settings file {file} is not valid TOML: {error}", "correct that line") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"settings file {file} cannot be read: {error}") from error


def _flatten(table: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}.{inner}", leaf) for inner, leaf in value.items())
        else:
            yield key, value


_PATHS = ("store.directory", "models.directory", "generate.prompts")


def _relative_to(file: Path, key: str, value: Any) -> Any:
    """Paths in a settings file are relative to that file."""
    if key in _PATHS and isinstance(value, str) and value:
        return str(file.parent / Path(value).expanduser())
    return value


def _split_override(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise SettingsError(f"{text!r} is not of the form section.key=value")
    return key.strip(), value.strip()


def _checked(key: str, value: Any, kind: Any, origin: str) -> Any:
    """The value as the setting's type holds it, within its range; SettingsError otherwise."""
    wrong = SettingsError(f"setting {key} must be {_allowed(key, kind)}, not {value!r} (from {origin})")
    found = coerce(value, kind, wrong)
    low, high = range_of(key)
    if (low is not None and not found >= low) or (high is not None and not found <= high):  # NaN is in no range
        raise wrong
    return found


def _allowed(key: str, kind: Any) -> str:
    """What a setting may be, in words.

    >>> _allowed("context.diversity", float), _allowed("retrieve.limit", int)
    ('a number from 0 to 1', 'a whole number from 1')
    """
    low, high = range_of(key)
    from_ = "" if low is None else f" from {low}"
    return f"{in_words(kind)}{from_}{'' if high is None else f' to {high}'}"


def suggest(key: str) -> str:
    """What to do about a setting that does not exist."""
    import difflib

    near = difflib.get_close_matches(key, list(keys()), n=1)
    meant = "".join(f"did you mean {one}? " for one in near)
    return f"{meant}`ragkit config show` lists every setting"
