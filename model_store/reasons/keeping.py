"""What a version keeps of reasons: rows in its form, and in a file which columns matter overall."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from ..errors import PredictionFailed, Unexplained, words_of
from ..manifest import REASONS
from ..plain import FORM, Form
from ..signature import Matrix
from .background import NotKept, background_of
from .explanation import Reasons
from .overall import ROWS, Overall, overall

if TYPE_CHECKING:
    from ..model import Model

NO_ROWS: Final = "it was published without training data, or keeps no rows of it"


@dataclass(frozen=True, slots=True)
class Kept:
    """A form, perhaps with a background, and the files that go with it; or why there is none."""

    form: Form
    files: Mapping[str, bytes] = field(default_factory=dict)
    unexplained: str | None = None


def keep_reasons(model: Model, form: Form, drawn: Matrix | None) -> Kept:
    """The form with a background of rows that were drawn, once its reasons are seen to add up to
    the answers to the golden rows."""
    if drawn is None or not len(drawn):
        return Kept(form, unexplained=NO_ROWS)
    manifest = model.manifest
    try:
        background = background_of(manifest.signature, drawn)
    except NotKept as error:
        return Kept(form, unexplained=str(error))
    whole = msgspec.structs.replace(form, format=FORM, background=background)
    reasons = Reasons(manifest, whole, model.golden_rows)
    try:
        reasons.replay()
        matrix = drawn[:ROWS]
        found = overall(reasons, manifest, matrix, model.predict(matrix).labels)
    except (Unexplained, PredictionFailed):
        # What cannot be found exactly may be estimated, if the server is told to.
        return Kept(form if reasons.failure else whole, unexplained=reasons.failure)
    except MemoryError:
        raise
    # The form is not proven yet. Whatever it stumbles over, the version is published all the same.
    except Exception as error:
        return Kept(form, unexplained=f"its reasons failed: {words_of(error)}")
    files = {} if found is None else {REASONS: msgspec.json.encode(found)}
    return Kept(whole, files)


def read_overall(data: bytes) -> Overall:
    """What `keep_reasons` wrote.

    Raises:
        msgspec.DecodeError: it is something else.
    """
    return msgspec.json.decode(data, type=Overall)
