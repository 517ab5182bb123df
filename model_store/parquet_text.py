"""A Parquet file from somebody else as the CSV of it, written by a process in a cage.

A page of Parquet may inflate to any size, and what reads it is compiled code. So the process that
serves reads none: a child does (`cage.py`), which can open nothing but what it is given, with
limits of time, memory and output, and what it writes is text.

Numbers are the shortest texts that read back equal, truths `true` and `false`, dates ISO 8601; what
is missing is an empty cell, and so is an empty text.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import tempfile
from typing import IO, Any, Final

from .errors import InvalidTable
from .literals import iso
from .memory import MEGABYTE, is_out_of_memory

MAGIC: Final = b"PAR1"
"""How such a file begins and ends."""

ROWS: Final = 10_000
"""Rows that are converted at a time."""
MEGABYTES: Final = 512
"""Memory beyond what the libraries take."""
SAID: Final = 2000
"""Bytes of a sentence of the child."""
REFUSED: Final = 3
"""Its exit code where the file is no table; it says why."""


def is_parquet(file: IO[bytes]) -> bool:
    """Whether a file, which stands at its beginning and does so afterwards, is one of Parquet."""
    start = file.read(len(MAGIC))
    file.seek(0)
    return start == MAGIC


def write_csv(source: IO[bytes], target: IO[bytes], *, limit: int, seconds: float) -> None:
    """Write the CSV of a Parquet file to another file of at most `limit` bytes, which then stands
    at its beginning. Both have descriptors. Blocks.

    Raises:
        InvalidTable: it is no such file, has columns that no model takes, or takes too much.
    """
    from . import cage  # A server that is sent no such file goes without.

    with tempfile.TemporaryDirectory(prefix="parquet-") as folder:
        child = subprocess.Popen(
            cage.command(folder, __name__, str(limit), path=sys.path),
            stdin=source.fileno(),
            stdout=target.fileno(),
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            _, said = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise InvalidTable(
                f"The Parquet file could not be read within {seconds:g} seconds."
            ) from None
        finally:
            child.kill()
            child.wait()
    if child.returncode:
        told = said[:SAID].decode(errors="replace").strip()
        raise InvalidTable(
            told if child.returncode == REFUSED and told else "The Parquet file cannot be read."
        )
    target.seek(0)


# In the child --------------------------------------------------------------------


def main(limit: int) -> None:
    """Read stdin and write stdout; a sentence about what is wrong goes to stderr."""
    try:
        import pyarrow
        from pyarrow import csv, parquet

        pyarrow.set_cpu_count(1)
        _limit(limit)
        file = parquet.ParquetFile(pyarrow.PythonFile(sys.stdin.buffer, mode="r"))
        schema = _schema(file.schema_arrow)
        with csv.CSVWriter(pyarrow.PythonFile(sys.stdout.buffer, mode="w"), schema) as writer:
            for batch in file.iter_batches(ROWS, use_threads=False):
                columns = [_texts(name, batch.column(i)) for i, name in enumerate(schema.names)]
                writer.write_batch(pyarrow.record_batch(columns, schema=schema))
        sys.stdout.buffer.flush()
    except Exception as error:
        os.write(2, _sentence(error, limit).encode()[:SAID])
        os._exit(REFUSED)
    os._exit(0)


def _limit(limit: int) -> None:
    with open("/proc/self/statm", "rb") as statm:
        size = int(statm.read().split()[0]) * resource.getpagesize()
    allowed = size + MEGABYTES * MEGABYTE
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))


def _sentence(error: Exception, limit: int) -> str:
    if isinstance(error, InvalidTable):
        return str(error)
    if is_out_of_memory(error):
        return f"The Parquet file needs more than {MEGABYTES} MB of memory."
    if isinstance(error, OSError) and error.errno is not None:
        return f"The Parquet file has more than {limit} bytes as CSV."
    return "The Parquet file cannot be read."


def _schema(schema: Any) -> Any:
    import pyarrow

    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        raise InvalidTable(f"There is more than one column {twice[0]}.")
    return pyarrow.schema([(field.name, _text_type(field)) for field in schema])


def _text_type(field: Any) -> Any:
    """What the cells of a column are on their way: numbers as they are, all else texts."""
    import pyarrow
    from pyarrow import types

    kind = field.type.value_type if types.is_dictionary(field.type) else field.type
    if types.is_integer(kind):
        return kind
    texts = types.is_string(kind) or types.is_large_string(kind)
    moments = types.is_date(kind) or types.is_timestamp(kind)
    numbers = types.is_floating(kind) or types.is_decimal(kind) or types.is_boolean(kind)
    if texts or moments or numbers or types.is_null(kind):
        return pyarrow.string()
    raise InvalidTable(
        f"The column {field.name} is of the type {kind}; expected numbers, texts, booleans or "
        "dates."
    )


def _texts(name: str, column: Any) -> Any:
    import pyarrow
    from pyarrow import types

    kind = column.type
    if types.is_dictionary(kind):
        return _texts(name, column.dictionary_decode())
    if types.is_integer(kind) or types.is_string(kind):
        return column
    if types.is_date(kind) or types.is_timestamp(kind):
        if types.is_timestamp(kind) and kind.unit == "ns":
            column = column.cast(pyarrow.timestamp("us", kind.tz))
        values = [None if value is None else iso(value) for value in column.to_pylist()]
        return pyarrow.array(values, pyarrow.string())
    if types.is_floating(kind):
        # As Python writes them, and NaN as what is missing.
        numbers = column.cast(pyarrow.float64()).to_pylist()
        texts = [None if value is None or value != value else repr(value) for value in numbers]
        return pyarrow.array(texts, pyarrow.string())
    return column.cast(pyarrow.string())


if __name__ == "__main__":
    main(int(sys.argv[1]))
