"""What a pipeline says of its failure: to the log with the id of the request, and to clients only
where the operator wants that, since it may name a path or a setting."""

from __future__ import annotations

import logging
from typing import Final

from model_store.errors import Unanswerable

WORDS_LOGGED: Final = 500
"""Characters of what a pipeline said."""

logger = logging.getLogger(__name__)


def log_words(error: Unanswerable, request_id: str | None) -> None:
    """Log what a pipeline said, if it said anything, in one line."""
    if error.words is not None:
        words = repr(error.words[:WORDS_LOGGED])
        logger.warning("%s The pipeline said %s (request %s)", error, words, request_id)


def shown(error: Exception, *, words: bool) -> str:
    """What a client is told of an error of a model; with `words` also what its pipeline said."""
    return error.told if words and isinstance(error, Unanswerable) else str(error)
