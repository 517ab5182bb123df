"""What can go wrong with a store, and with rows that are meant for a pipeline.

ModelStoreError
├── InvalidName           a model or an alias with a name that the store does not take
├── InvalidPipeline       what was given to publish is not a fitted pipeline for that data
│   └── Undecided         nothing tells which types the rows of a sample had
├── UnreadableFile        a file to import is no pickle of a kind that is read here, or is cut off
├── InvalidTable          a CSV file that is no table
├── Untrusted             a pickle names what is not allowed; nothing was unpickled
├── TrialFailed           the process that tried a pipeline ran out of time or memory, or died
├── ModelNotFound
│   ├── VersionNotFound   also an alias that does not exist
│   └── NothingMounted    the folder that a platform mounts is missing or empty, which may change
├── VersionInUse          an alias points at the version that was to be removed
├── InvalidChallenger     a version that cannot be tried beside the champion, or there is none
├── HeadChanged           somebody else has changed what a model is meanwhile
├── CorruptVersion        size, digest or manifest is wrong; nothing was unpickled
│   ├── Unsigned          a signature is required, and the version has none by that key
│   └── StoreUnreachable  the bucket does not answer, and nothing is known of what was asked
│       └── StoreForbidden    it answers that this key may not write
├── MissingExtra          an optional package is not installed
├── IncompatibleVersion   made with another scikit-learn minor, or there is none here; nothing was
│                         unpickled
├── LoadFailed            the artifact is what was published, yet it does not load
│   ├── Unsound           it holds what compiled code must not be given, or would open files
│   └── GoldenMismatch    it loads, and answers its golden rows differently
├── PredictionFailed      the pipeline raised, or answered with something unusable
│   └── Unanswerable      because of these values: it answered its golden rows
├── Unexplained           there are no reasons for what is answered, or not in time
├── StoreNotWritable      disk full, read-only, no permission
│   └── NotDurable        it was written, and may be lost if the power is
├── InvalidColumns        what was given is no column: of an unknown kind, or of another length
├── InvalidRun            a table cannot be scored so: its input, its output or an option is wrong
├── RunStopped            a table was scored in parts, and some parts are missing
└── InvalidRows           rows that do not fit the signature, all their faults at once

The message of each is one sentence for the person who meets it. Where a server meets it, the
sentence is ours alone, since clients read it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

FAULTS_SHOWN = 5


class ModelStoreError(Exception):
    """Whatever this package raises on purpose.

    `words` are what somebody else's code said, which may say anything, or where something lies on
    this machine: they are for whoever runs the models, and not for whoever asks them.
    """

    def __init__(self, message: str = "", words: str | None = None) -> None:
        super().__init__(message)
        self.words = words

    @property
    def told(self) -> str:
        """The message with those words, for whoever runs the models."""
        return str(self) if self.words is None else f"{self} {self.words}"


def words_of(error: BaseException) -> str:
    """What any exception says, and of what kind it is; of ours all that it tells."""
    if isinstance(error, ModelStoreError):
        return error.told
    return f"{type(error).__name__}: {error}".rstrip(": ")


class InvalidName(ModelStoreError):
    pass


class InvalidPipeline(ModelStoreError):
    pass


class Undecided(InvalidPipeline):
    pass


class UnreadableFile(ModelStoreError):
    pass


class InvalidTable(ModelStoreError):
    pass


class Untrusted(ModelStoreError):
    pass


class TrialFailed(ModelStoreError):
    pass


class ModelNotFound(ModelStoreError):
    pass


class VersionNotFound(ModelNotFound):
    pass


class NothingMounted(ModelNotFound):
    pass


class VersionInUse(ModelStoreError):
    pass


class CorruptVersion(ModelStoreError):
    pass


class Unsigned(CorruptVersion):
    pass


class StoreUnreachable(CorruptVersion):
    pass


class StoreForbidden(StoreUnreachable):
    pass


class MissingExtra(ModelStoreError):
    pass


class InvalidChallenger(ModelStoreError):
    pass


class HeadChanged(ModelStoreError):
    pass


class IncompatibleVersion(ModelStoreError):
    pass


class LoadFailed(ModelStoreError):
    pass


class Unsound(LoadFailed):
    pass


class GoldenMismatch(LoadFailed):
    pass


class PredictionFailed(ModelStoreError):
    pass


class Unanswerable(PredictionFailed):
    pass


class Unexplained(ModelStoreError):
    pass


class StoreNotWritable(ModelStoreError):
    pass


class NotDurable(StoreNotWritable):
    pass


class InvalidColumns(ModelStoreError):
    pass


class InvalidRun(ModelStoreError):
    pass


class RunStopped(ModelStoreError):
    pass


class Fault(msgspec.Struct, frozen=True):
    """One value that does not fit.

    `row` counts from 0. `got` is the value as JSON, shortened, or `nothing` where the column
    is absent.
    """

    row: int
    column: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.column}: expected {self.expected}, got {self.got}"


class InvalidRows(ModelStoreError):
    """Rows that do not fit the signature.

    `total` counts all faults; `faults` holds the first of them in the order of the rows.
    """

    def __init__(self, faults: Sequence[Fault], *, rows: int, total: int | None = None) -> None:
        self.faults = tuple(faults)
        self.rows = rows
        self.total = len(self.faults) if total is None else total
        super().__init__(self._message())

    def _message(self) -> str:
        shown = self.faults[:FAULTS_SHOWN]
        lines = [f"row {fault.row}, {fault}" if self.rows > 1 else str(fault) for fault in shown]
        more = self.total - len(shown)
        return "; ".join(lines) + (f"; and {more} more" if more else "")
