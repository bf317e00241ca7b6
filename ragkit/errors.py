"""Every error that ragkit raises on purpose, and the exit code that each one means.

Knows messages and exit codes; knows nothing of where they are shown. An error names the thing, the
reason, and the next command; the face (CLI, HTTP) prints it once, without a traceback.

    RagkitError                      1
    ├── UsageError                   2   the request itself is wrong
    │   ├── SettingsError            2   unknown key, wrong type, out of range, unreadable file
    │   └── FilterError              2   malformed --filter
    ├── CorpusError                  1
    │   ├── CorpusNotFound           1
    │   ├── CorpusEmpty              1   nothing matched, or nothing ingested yet
    │   └── CorpusLocked             1   another process writes to the same index
    ├── LoadError                    1   one file could not be read (ingest turns it into a ledger row)
    ├── SkipFile                     1   one file is left out on purpose, with a reason (likewise)
    ├── SnapshotError                1   index files damaged, or built with another embedder
    ├── StoreError                   1   database missing, too new, locked, disk full
    ├── ModelError                   1
    │   ├── ModelNotFound            1   no such name, or no source could be reached
    │   ├── ModelCorrupt             1   bytes do not match the catalogue's sha256
    │   └── ModelUnsuitable          1   wrong role, failed parity, context too long
    ├── MissingExtra                 1   an optional part is not installed; names the extra
    ├── OfflineError                 1   something asked for the network while offline
    ├── GenerationError              1   the generator or its server failed
    └── EvaluationError              1
        ├── DatasetError             1   unreadable or inconsistent dataset
        └── GateFailed               5
"""

from __future__ import annotations

from typing import ClassVar

ANSWERED = 0
ABSTAINED = 3
UNSUPPORTED = 4
INTERRUPTED = 130


class RagkitError(Exception):
    """Base of all deliberate errors.

    `message` says the thing and the reason in one line; `hint` is the next command or step: the class's own where
    the error that is raised has no better one.
    """

    exit_code: ClassVar[int] = 1
    next_step: ClassVar[str] = ""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.next_step

    @property
    def name(self) -> str:
        """The stable name of the error, as JSON reports it."""
        return type(self).__name__

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(RagkitError):
    """The request itself is wrong: an empty question, a value out of range."""

    exit_code = 2


class SettingsError(UsageError):
    """A settings file, variable or flag has an unknown key, or a value of the wrong type or out of range."""

    next_step = "`ragkit config show` lists every key with its value"


class FilterError(UsageError):
    """A --filter expression could not be read."""


class CorpusError(RagkitError):
    """Something is wrong with a corpus."""


class CorpusNotFound(CorpusError):
    """No corpus of that name has been ingested."""


class CorpusEmpty(CorpusError):
    """A folder held nothing to ingest, or a corpus has no published snapshot."""


class CorpusLocked(CorpusError):
    """Another process is writing to the same index."""


class LoadError(RagkitError):
    """A file should have been readable and was not: corrupt, vanished, no permission."""


class SkipFile(RagkitError):
    """A file is left out on purpose: binary, too large, unknown format, empty."""


class SnapshotError(RagkitError):
    """A snapshot's files are missing or damaged, or were built with another embedder."""


class StoreError(RagkitError):
    """The database is missing, too new for this version, locked, or out of space."""


class ModelError(RagkitError):
    """Something is wrong with a model."""


class ModelNotFound(ModelError):
    """No model of that name, or none of its sources could be reached."""


class ModelCorrupt(ModelError):
    """The bytes found are not the bytes that the catalogue pins."""


class ModelUnsuitable(ModelError):
    """The model cannot do what is asked: wrong role, failed parity, window too small."""

    next_step = "`ragkit models list` shows what each model is for"


class MissingExtra(RagkitError):
    """An optional part is not installed."""


class OfflineError(RagkitError):
    """Something needed the network while offline mode was on."""


class GenerationError(RagkitError):
    """The generator, or the server behind it, failed."""

    next_step = "`ragkit doctor` checks the models; --no-llm answers without one"


class EvaluationError(RagkitError):
    """An evaluation could not be carried out."""

    next_step = "`ragkit eval runs` lists the runs that are kept"


class DatasetError(EvaluationError):
    """A dataset is unreadable or inconsistent."""

    next_step = "`ragkit eval import --help` names the layouts that are read"


class GateFailed(EvaluationError):
    """A measured drop is real: the gate is closed."""

    exit_code = 5
