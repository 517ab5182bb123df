"""Tables in Parquet, which are answered as the CSV of them."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import IO, Final

from model_store.errors import InvalidTable
from model_store.parquet_text import is_parquet, write_csv

from ..config import Config
from ..extras import missing
from ..inference import InvalidRequest, UnsupportedBody
from ..middleware.spool import temporary_file

CONTENT_TYPE: Final = "application/vnd.apache.parquet"


async def as_csv(table: IO[bytes], config: Config) -> IO[bytes]:
    """The CSV of a table in Parquet, in a new temporary file; any other table as it is.

    Raises:
        InvalidRequest: the file cannot be read, or has columns that no model takes.
        UnsupportedBody: pyarrow is not installed.
        NotReady: there is no room for a file.
    """
    if not await asyncio.to_thread(is_parquet, table):
        return table
    if missing(["pyarrow"]):
        raise UnsupportedBody("Tables in Parquet need pyarrow here, which the extra score brings.")
    target = temporary_file()
    try:
        convert = partial(write_csv, limit=config.max_csv_bytes, seconds=config.deadline)
        await asyncio.to_thread(convert, table, target)
    except BaseException as error:
        target.close()
        if isinstance(error, InvalidTable):
            raise InvalidRequest(str(error)) from None
        raise
    return target
