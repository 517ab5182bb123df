"""Arrow arrays as values of a column; the only user of pyarrow, which is imported for these alone.

Numbers, truths and dates become numpy arrays of their own type, with a mask where some are missing,
so that nothing is rounded on the way. Of all else, which are texts mostly, each distinct value is
made a Python value once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeGuard, overload

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidColumns
from .values import Mask, Positions, Repeated, Values

MOST_BYTES: Final = 2**31 - 1
"""What the offsets of texts with 32 bits reach."""


class ArrowArray(Protocol):
    """An array or a chunked array of pyarrow."""

    @property
    def null_count(self) -> int: ...

    @property
    def type(self) -> Any: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Any]: ...

    def __getitem__(self, row: int, /) -> Any: ...

    def to_pylist(self) -> list[Any]: ...


@dataclass(frozen=True, slots=True)
class Texts(Sequence[object]):
    """An Arrow array of texts, large or not, of which those that write numbers are read as a
    whole."""

    array: Any

    def __len__(self) -> int:
        return len(self.array)

    @overload
    def __getitem__(self, row: int) -> object: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[object]: ...
    def __getitem__(self, row: int | slice) -> object:
        return Texts(self.array[row]) if isinstance(row, slice) else self.array[row].as_py()

    def values(self) -> Values:
        """The same as Python's own values, or as few of them repeated."""
        return _of_distinct(self.array)

    def take(self, rows: Positions) -> Texts:
        """Those in these places."""
        return Texts(self.array.take(of_numbers(rows)))

    def floats(self) -> tuple[NDArray[np.float64], Mask]:
        """The number that each text writes, as the float next to it, and which texts have to be
        looked at alone: a blank, what is no number, a zero with a sign. What stands for these has
        no meaning."""
        numbers, odd = self._numbers(
            "double", r"^-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
        )
        # An integer has no negative zero, and a float has.
        return numbers, odd | (np.signbit(numbers) & (numbers == 0))

    def integers(self) -> tuple[NDArray[np.int64], Mask]:
        """As `floats`, of digits with a minus or none that 64 bits hold."""
        return self._numbers("int64", "^-?[0-9]{1,18}$")

    def _numbers(self, kind: str, pattern: str) -> tuple[NDArray[Any], Mask]:
        """`pattern` tells what pyarrow reads as `parse_number` does; it takes a while, and most
        columns have nothing else."""
        import pyarrow
        from pyarrow import compute

        texts = self.array
        none = pyarrow.nulls(1, texts.type)[0]
        blank = compute.equal(texts, _scalar("").cast(texts.type))
        if compute.any(blank).as_py():
            texts = compute.if_else(blank, none, texts)
        try:
            found = compute.cast(texts, kind) if _of_numerals(texts) else None
        except pyarrow.ArrowInvalid:
            found = None
        if found is None:
            texts = compute.if_else(compute.match_substring_regex(texts, pattern), texts, none)
            found = compute.cast(texts, kind)
        odd = _to_numpy(found.is_null())
        return _to_numpy(found), odd


def _of_numerals(texts: Any) -> bool:
    """Whether all characters of an array of texts are those of numbers."""
    return not bytes(text_bytes(texts)).translate(None, b"0123456789+-.eE")


def of_separated(texts: bytes) -> ArrowArray:
    """An Arrow array of ASCII texts that have commas between them, and none within."""
    import pyarrow

    commas = np.flatnonzero(np.frombuffer(texts, dtype=np.uint8) == ord(","))
    ends = np.append(commas, len(texts)) - np.arange(len(commas) + 1)
    offsets = pyarrow.py_buffer(np.append(0, ends).astype(np.int32))
    data = pyarrow.py_buffer(texts.replace(b",", b""))
    found: ArrowArray = pyarrow.StringArray.from_buffers(len(ends), offsets, data)
    return found


def _scalar(text: str) -> Any:
    """A text as an Arrow scalar. To make one of a str itself pyarrow imports pandas, where that is
    installed, to look for its types."""
    return of_texts([text])[0]


def of_texts(texts: Sequence[str]) -> ArrowArray:
    """An Arrow array of texts."""
    import pyarrow

    written = [text.encode() for text in texts]
    ends = np.cumsum(np.fromiter(map(len, written), dtype=np.int64, count=len(written)))
    if len(ends) and ends[-1] > MOST_BYTES:
        found: ArrowArray = pyarrow.array(texts, pyarrow.string())
        return found
    offsets = np.append(0, ends).astype(np.int32)
    buffers = map(pyarrow.py_buffer, (offsets, b"".join(written)))
    found = pyarrow.StringArray.from_buffers(len(written), *buffers)
    return found


def of_numbers(numbers: NDArray[Any]) -> Any:
    """An Arrow array of numbers of the same type. pyarrow's own way imports pandas, where it is
    installed, to look for its types."""
    import pyarrow

    kind = pyarrow.from_numpy_dtype(numbers.dtype)
    buffers = [None, pyarrow.py_buffer(np.ascontiguousarray(numbers))]
    return pyarrow.Array.from_buffers(kind, len(numbers), buffers)


def taken(values: ArrowArray, rows: Sequence[int] | Positions) -> ArrowArray:
    """The values in these places."""

    from pyarrow import large_string, types

    array: Any = values
    if types.is_string_view(array.type):  # of which pyarrow takes none
        array = array.cast(large_string())
    found: ArrowArray = array.take(of_numbers(np.asarray(rows, dtype=np.int64)))
    return found


def all_match(texts: ArrowArray, pattern: str) -> bool:
    """Whether a pattern of RE2 matches the beginning of each text."""
    from pyarrow import compute

    return bool(compute.all(compute.match_substring_regex(texts, f"^(?:{pattern})")).as_py())


def lines_of(columns: Sequence[ArrowArray], delimiter: str, end: str) -> bytes:
    """A line of each row of texts, with this between them and that at its end."""
    from pyarrow import compute

    *others, last = columns
    ends = compute.binary_join_element_wise(last, _scalar(""), _scalar(end))
    return bytes(text_bytes(compute.binary_join_element_wise(*others, ends, _scalar(delimiter))))


def blanks(rows: int) -> ArrowArray:
    """An Arrow array of so many empty texts."""
    import pyarrow

    found: ArrowArray = pyarrow.repeat(_scalar(""), rows)
    return found


def text_bytes(texts: Any) -> memoryview:
    """All texts of an Arrow array of such, in UTF-8, without anything between them."""
    data = texts.buffers()[2]
    if data is None:
        return memoryview(b"")
    ends = _ends(texts)
    return memoryview(data)[ends[0] : ends[-1]]


def text_starts(texts: Any) -> NDArray[np.integer[Any]]:
    """Where each of the texts begins among these bytes, of the shape (n,)."""
    ends = _ends(texts)
    starts: NDArray[np.integer[Any]] = ends[:-1] - ends[0]
    return starts


def _ends(texts: Any) -> NDArray[np.integer[Any]]:
    large = texts.type == "large_string"
    found: NDArray[Any] = np.frombuffer(texts.buffers()[1], dtype=np.int64 if large else np.int32)
    return found[texts.offset : texts.offset + len(texts) + 1]


def is_arrow(values: object) -> TypeGuard[ArrowArray]:
    """Whether values are an array of pyarrow, which whoever made them has imported."""
    if type(values).__module__.partition(".")[0] != "pyarrow":
        return False
    import pyarrow

    return isinstance(values, pyarrow.Array | pyarrow.ChunkedArray)


def read(name: str, values: ArrowArray) -> Values:
    """The values of the column of this name.

    Raises:
        InvalidColumns: no column has values of this type, or Python has no such moments.
    """
    import pyarrow

    try:
        found = _read(_whole(values))
    except (pyarrow.ArrowException, ValueError, OverflowError) as error:
        raise InvalidColumns(
            f"The values of {name}, an Arrow array of {values.type}, cannot be read: {error}"
        ) from error
    if found is None:
        raise InvalidColumns(
            f"The column {name} is an Arrow array of {values.type}; expected numbers, texts, "
            "booleans or dates."
        )
    return found


def value_at(values: ArrowArray, row: int) -> object:
    """One of the values, to be shown."""
    scalar = values[row]
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        return str(scalar)


def _whole(values: Any) -> Any:
    """The one array that the chunks make."""
    import pyarrow

    if isinstance(values, pyarrow.Array):
        return values
    if values.num_chunks == 1:
        return values.chunk(0)
    if pyarrow.types.is_string(values.type) and values.nbytes > MOST_BYTES:
        values = values.cast(pyarrow.large_string())
    if pyarrow.types.is_dictionary(values.type) and not _is_text(values.type.value_type):
        # Unified, a dictionary of float16 would have other values (pyarrow 26).
        chunks = [chunk.dictionary_decode() for chunk in values.chunks]
        values = pyarrow.chunked_array(chunks, values.type.value_type)
    return values.unify_dictionaries().combine_chunks()


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind))


def _read(array: Any) -> Values | None:
    """The values of an array; None where no column has such."""
    import pyarrow
    from pyarrow import compute, types

    kind = array.type
    if types.is_null(kind):
        return Repeated((None,), np.zeros(len(array), dtype=np.intp))
    if types.is_run_end_encoded(kind):
        return _read(compute.run_end_decode(array))
    if types.is_dictionary(kind):
        return _of_dictionary(array)
    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind):
        return _of_numbers(array)
    if types.is_date(kind):
        return _to_numpy(array.cast(pyarrow.date32()))
    if types.is_timestamp(kind):
        if kind.tz is None:
            return _to_numpy(array)
        return _of_distinct(array.cast(pyarrow.timestamp("us", kind.tz)))
    if types.is_string_view(kind):
        return Texts(array.cast(pyarrow.large_string()))
    if _is_text(kind):
        array.validate(full=True)  # whoever made it need not have looked whether it is UTF-8
        return Texts(array)
    return _of_distinct(array) if types.is_decimal(kind) else None


def _to_numpy(array: Any) -> np.ndarray[Any, Any]:
    """An array of numbers, truths or moments; what stands for a missing number has no meaning."""
    from pyarrow import types

    kind = array.type
    if types.is_boolean(kind):
        return _to_numpy(array.cast("uint8")).view(np.bool_)
    if types.is_integer(kind) or types.is_floating(kind):
        # pyarrow's own way imports pandas, where it is installed, to look for its types.
        letter = "f" if types.is_floating(kind) else "i" if types.is_signed_integer(kind) else "u"
        dtype = np.dtype(f"{letter}{kind.bit_width // 8}")
        whole = np.frombuffer(array.buffers()[1] or b"", dtype=dtype)
        return whole[array.offset : array.offset + len(array)]
    found: np.ndarray[Any, Any] = array.to_numpy(zero_copy_only=False)
    return found


def _of_numbers(array: Any) -> Values:
    if not array.null_count:
        return _to_numpy(array)
    # As floats, which have a word for what is missing, large integers would be rounded.
    return np.ma.MaskedArray(_to_numpy(array), mask=_to_numpy(array.is_null()))


def _of_distinct(array: Any) -> Values:
    """Values that are looked at as Python's own."""
    encoded = array.dictionary_encode(null_encoding="encode")
    if len(encoded.dictionary) > len(array) // 2:
        values: list[Any] = array.to_pylist()
        return values
    return Repeated(encoded.dictionary.to_pylist(), _places(encoded.indices))


def _of_dictionary(array: Any) -> Values | None:
    if not _is_text(array.type.value_type) or len(array.dictionary) > len(array) // 2:
        return _read(array.dictionary_decode())
    distinct = [*array.dictionary.to_pylist(), None]
    return Repeated(distinct, _places(array.indices, missing=len(distinct) - 1))


def _places(indices: Any, missing: int = 0) -> Positions:
    import pyarrow

    found = _to_numpy(indices.cast(pyarrow.int64()))
    if indices.null_count:
        found = np.where(_to_numpy(indices.is_null()), missing, found)
    return found.astype(np.intp, copy=False)
