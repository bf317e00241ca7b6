"""Versions of a snapshot's documents on disk: which document is of which version, and which chunks are the latest.

Knows document and chunk ids and one folder; what is a version, `ragkit.versions` says. Written when a snapshot is, so
that a search learns at once whether any document has an older one.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.errors import SnapshotError
from ragkit.versions import Found, superseded

if TYPE_CHECKING:
    from ragkit.domain import ChunkIds

VERSIONS_FILE = "versions.json"
LATEST_FILE = "latest.npy"


class DocVersions:
    """The versions of one snapshot's documents; none when its folder was written before they were looked for."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @cached_property
    def found(self) -> Found:
        """Versions and families."""
        path = self._directory / VERSIONS_FILE
        if not path.is_file():
            return Found({})
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
            versions = {int(id): str(version) for version, ids in table["versions"].items() for id in ids}
            return Found(versions, tuple(tuple(int(id) for id in family) for family in table["families"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SnapshotError(f"{path} cannot be read: {error}", "run `ragkit ingest --rebuild`") from error

    @cached_property
    def _family_of(self) -> dict[int, tuple[int, ...]]:
        return {id: family for family in self.found.families for id in family}

    def others(self, document: int) -> list[tuple[int, str]]:
        """The other versions of a document, the latest first: document and version."""
        family = self._family_of.get(document, ())
        return [(other, self.found.versions[other]) for other in family if other != document]

    @cached_property
    def latest(self) -> ChunkIds | None:
        """Ids of the chunks without those of older versions, ascending; None when there are no older versions."""
        if not self.found.families:
            return None
        import numpy as np

        path = self._directory / LATEST_FILE
        try:
            ids: ChunkIds = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise SnapshotError(f"{path} cannot be read: {error}", "run `ragkit ingest --rebuild`") from error
        return ids


def write(directory: Path, found: Found, ids: ChunkIds, owners: ChunkIds) -> None:
    """Write the versions of documents into `directory`, which is made; `owners` are the documents of chunks `ids`."""
    import numpy as np

    directory.mkdir(parents=True, exist_ok=True)
    versions: dict[str, list[int]] = {}
    for id, version in found.versions.items():
        versions.setdefault(version, []).append(id)
    table = {"versions": versions, "families": [list(family) for family in found.families]}
    (directory / VERSIONS_FILE).write_text(json.dumps(table, ensure_ascii=False), encoding="utf-8")
    if found.families:
        behind = np.asarray(sorted(superseded(found)), dtype=np.int64)
        np.save(directory / LATEST_FILE, ids[~np.isin(owners, behind)], allow_pickle=False)
