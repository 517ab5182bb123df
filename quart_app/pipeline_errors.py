"""What is not our own in an error of a model, such as what its pipeline said: to the log with the
id of the request, and to clients only where the operator wants that, since it may name a path or a
setting."""

from __future__ import annotations

import logging
from typing import Final

from model_store import ModelStoreError

WORDS_LOGGED: Final = 500
"""Characters of what somebody else's code said."""

logger = logging.getLogger(__name__)


def log_words(error: Exception, words: str | None, reference: str) -> None:
    """Log what somebody else's code said of an error, if it said anything, in one line that refers
    to the request."""
    if words is not None:
        said = repr(words[:WORDS_LOGGED])
        logger.warning("%s The cause: %s (%s)", error, said, reference)


def shown(error: Exception, *, words: bool) -> str:
    """What a client is told of an error of a model; with `words` also what is not our own."""
    return error.told if words and isinstance(error, ModelStoreError) else str(error)
