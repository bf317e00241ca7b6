"""What an engine works with, opened once and when first needed: the store, the models, snapshots, prompts.

Knows which setting names which model and how each thing is opened; knows nothing of what is done with it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.errors import MissingExtra, ModelError, ModelUnsuitable, OfflineError

if TYPE_CHECKING:
    from ragkit.config import GenerateSettings, Settings
    from ragkit.domain import Progress, Vectors
    from ragkit.index.snapshot import Snapshot
    from ragkit.prompting import Prompts
    from ragkit.roles import Embedder, Entailment, Generator, Reranker
    from ragkit.store import Store


class Resources:
    """Everything that has to be opened and closed. A model that is given is used in place of the one that the
    settings name, and is left open. `notices` collects what a user should hear of how models came here."""

    def __init__(
        self,
        settings: Settings,
        progress: Progress | None = None,
        *,
        embedder: Embedder | None = None,
        generator: Generator | None = None,
        reranker: Reranker | None = None,
    ) -> None:
        self.settings = settings
        self.progress = progress
        self.given = {"embedder": embedder, "generator": generator, "reranker": reranker}
        self.notices: list[str] = []
        self._snapshots: dict[str, Snapshot] = {}

    def take_notices(self) -> tuple[str, ...]:
        """What there is to say, once."""
        notices = tuple(self.notices)
        self.notices.clear()
        return notices

    def close(self) -> None:
        """Close what was opened; it is opened again when it is needed again."""
        for snapshot in self._snapshots.values():
            snapshot.close()
        self._snapshots.clear()
        opened = ("embedder", "code_embedder", "entailment", "reranker", "sentence_reranker")
        for name in ("store", "generator", "own_judge", *opened):
            close = getattr(self.__dict__.pop(name, None), "close", None)
            if close and self.given.get(name) is None:
                close()

    def forget(self, corpus: str) -> None:
        """Close the snapshot of a corpus that is about to go."""
        if (held := self._snapshots.pop(corpus, None)) is not None:
            held.close()

    @cached_property
    def store(self) -> Store:
        """The database of documents, snapshots and answers."""
        from ragkit.store import Store

        return Store(self.settings.store_directory, self.settings.store.database_url)

    @cached_property
    def embedder(self) -> Embedder:
        """The embedding model, prepared on first use."""
        if (given := self.given["embedder"]) is not None:
            return given  # type: ignore[return-value]
        from ragkit.embed import open_embedder, truncated
        from ragkit.models import catalogue

        settings = self.settings.embed
        spec = catalogue.get(settings.model)
        if spec.questions:
            raise ModelUnsuitable(
                f"{spec.name} embeds source code alone; {spec.questions} reads its questions",
                f"set embed.model to {spec.questions}, and embed.code_model to {spec.name}",
            )
        prepared = self.prepared(settings.model, "embedder", settings.engine)
        embedder = open_embedder(prepared, self.settings.thread_count, settings.batch_tokens)
        if not settings.dimensions:
            return embedder
        return truncated(embedder, settings.dimensions, spec.matryoshka if spec.catalogued else None)

    @cached_property
    def code_embedder(self) -> Embedder | None:
        """What embeds passages of source code in place of the embedder, prepared on first use; None where nothing
        does: none is wanted, none is known for this embedder, or, of its own choice, none can be had."""
        from ragkit.embed import open_embedder
        from ragkit.models import catalogue

        settings, asked = self.settings.embed, self.embedder.fingerprint.rpartition("-")[0]
        if settings.code_model == "none":
            return None
        fitting = [spec for spec in catalogue.models() if spec.questions == asked]
        if settings.code_model == "auto" and not fitting:
            return None
        spec = fitting[0] if settings.code_model == "auto" else catalogue.get(settings.code_model)
        if spec.catalogued and spec.questions != asked:
            known = ", ".join(one.name for one in fitting) or "none"
            raise ModelUnsuitable(
                f"{spec.name} embeds no source code for questions that {asked} reads",
                f"embed.code_model may be: {known}",
            )
        try:
            prepared = self.prepared(spec.name, "embedder", settings.engine)
        except (MissingExtra, ModelError, OfflineError) as error:
            if settings.code_model != "auto":
                raise
            self.notices.append(f"{asked} embeds source code, too, less well than {spec.name}: {error.message}")
            return None
        return open_embedder(prepared, self.settings.thread_count, settings.batch_tokens)

    @cached_property
    def reranker(self) -> Reranker | None:
        """What rescores hits, or None when `rerank.model` is none."""
        if (given := self.given["reranker"]) is not None:
            return given  # type: ignore[return-value]
        if self.settings.rerank.model == "none":
            return None
        settings = self.settings.rerank
        if not settings.cross_encoder:
            return self.sentence_reranker
        if settings.insists:
            return self._cross_encoder()
        from ragkit.models import resolve

        missing = f"`ragkit models pull {settings.cross_encoder}` brings it"
        if resolve.local(settings.cross_encoder, self.settings.models_directory):
            try:
                return self._cross_encoder()
            except (MissingExtra, ModelError) as error:
                missing = error.message
        self.notices.append(f"sentences alone rerank, less well than {settings.cross_encoder} after them: {missing}")
        return self.sentence_reranker

    def _cross_encoder(self) -> Reranker:
        from ragkit.models import catalogue
        from ragkit.rerank import open_reranker

        settings = self.settings.rerank
        spec = catalogue.get(settings.cross_encoder)
        prepared = self.prepared(settings.cross_encoder, "reranker", settings.engine)
        return open_reranker(prepared, self.settings.thread_count, spec.weight, spec.temperature)

    @cached_property
    def sentence_reranker(self) -> Reranker:
        """What rescores hits by their sentences: alone, or before a cross-encoder."""
        from ragkit.rerank import SentenceReranker

        embedder = self.embedder

        def stored(ids: Sequence[int]) -> Mapping[int, Vectors]:
            return self.store.sentence_vectors(embedder.fingerprint, embedder.dimension, ids)

        return SentenceReranker(embedder, self.settings.lexical.language, stored)

    @cached_property
    def generator(self) -> Generator | None:
        """The language model, or None when `generate.backend` is extractive."""
        if (given := self.given["generator"]) is not None:
            return given  # type: ignore[return-value]
        settings = self.settings.generate
        return None if settings.backend == "extractive" else self._open_generator(settings)

    @cached_property
    def own_judge(self) -> Generator:
        """The model of `verify.judge_model`; in this process when answers are written without a model."""
        settings = self.settings.generate
        backend = "llama" if settings.backend == "extractive" else settings.backend
        return self._open_generator(replace(settings, model=self.settings.verify.judge_model, backend=backend))

    @property
    def judge(self) -> Generator | None:
        """The language model that is asked about claims: one of its own, or the one that writes."""
        return self.own_judge if self.settings.verify.judge_model else self.generator

    @cached_property
    def entailment(self) -> Entailment:
        """The model of `verify.nli_model`, prepared on first use."""
        from ragkit.entailment import open_entailment

        prepared = self.prepared(self.settings.verify.nli_model, "nli")
        return open_entailment(prepared, self.settings.thread_count)

    def _open_generator(self, settings: GenerateSettings) -> Generator:
        from ragkit.generate import open_generator

        file = self.prepared(settings.model, "generator") if settings.backend == "llama" else None
        return open_generator(
            settings, model_file=file, threads=self.settings.thread_count, offline=self.settings.offline
        )

    def required(self, model: Generator | None, purpose: str, hint: str) -> Generator:
        """`model`. Raises ModelUnsuitable when the settings name none: what for, and what to do."""
        if model is None:
            backend = self.settings.generate.backend
            raise ModelUnsuitable(f"generate.backend {backend} has no language model {purpose}", hint)
        return model

    @cached_property
    def prompts(self) -> Prompts:
        """The prompt files in force."""
        from ragkit import prompting

        return prompting.load(self.settings.generate.prompts)

    def prepared(self, name: str, role: str, engine: str = "auto") -> Path:
        """Folder or file of a model, fetched and prepared for this machine when it is not there yet."""
        from ragkit.models.prepare import prepare

        prepared = prepare(
            name,
            role,
            self.settings.models_directory,
            prefer=self.settings.models.prefer,
            engine=engine,
            offline=self.settings.offline,
            hub_timeout_seconds=self.settings.models.hub_timeout_seconds,
            threads=self.settings.thread_count,
            progress=self.progress,
        )
        self.notices.extend(prepared.notices)
        return prepared.path

    def embedder_is_ready(self) -> bool:
        """Whether the embedder can be opened without fetching or preparing anything."""
        if "embedder" in self.__dict__ or self.given["embedder"] is not None:
            return True
        from ragkit.models import prepare

        settings = self.settings
        return (
            prepare.prepared(
                settings.embed.model,
                "embedder",
                settings.models_directory,
                prefer=settings.models.prefer,
                engine=settings.embed.engine,
            )
            is not None
        )

    def embedder_for(self, snapshot: Snapshot) -> Embedder:
        """The embedder, prepared now; but not one that could not search this snapshot anyway."""
        from ragkit.models import catalogue

        spec = catalogue.get(self.settings.embed.model)
        if spec.role in ("", "embedder") and not spec.questions:  # opening any other says that it is no embedder
            snapshot.require_model(spec.name)
        return self.embedder

    def snapshot(self, corpus: str) -> Snapshot:
        """The current snapshot of a corpus; the same object until another is published."""
        from ragkit.index.snapshot import open_snapshot

        name = self.corpus_name(corpus)
        current = self.store.current_snapshot(name)
        held = self._snapshots.get(name)
        if held is None or held.name != current.name:
            if held is not None:
                held.close()
            held = self._snapshots[name] = open_snapshot(self.store, name, self.settings)
        return held

    def corpus_name(self, corpus: str) -> str:
        """The corpus that is meant: the named one, the settings' one, or the only one."""
        return self.store.corpus(corpus or self.settings.corpus).name


@contextmanager
def opening(embedder: Embedder | None) -> Iterator[None]:
    """Let an embedder read its model on another core while store and indexes open: a quarter less to wait."""
    if embedder is None or getattr(embedder, "is_open", True):
        yield
        return
    thread = threading.Thread(target=lambda: embedder.embed(["a"], "query"), name="open-embedder", daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()  # also after an error: a process must not end under it
