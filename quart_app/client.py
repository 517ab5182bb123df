"""A client of this server, for Python programs: predictions and what turned out true of them, what
the models are, CSV in and out.

    async with AsyncClient("http://127.0.0.1:8000") as client:
        answer = await client.predict("exam", {"X1": 61.1, "X2": 17.3})
        answer.prediction, answer.probabilities

ClientError               `status` is that of the answer, None where there was none
├── Rejected              the request is wrong; `details` are the values that do not fit
├── Denied                an API key is needed, or this one is not enough
├── NotFound              no such model, version or address
├── Unavailable           not now, also after the retries; `retry_after` where waiting helps
├── Unreachable           no connection, or it was lost
├── Timeout               no answer in time, by this client's clock or the server's
├── ServerError           the server failed
└── UnexpectedAnswer      not what this server says: the page of a proxy, another server

The message is the server's sentence where it sent one.

What is tried again: a 503 or 429 that says `Retry-After`, after that time; a connection that was
refused or lost, after a short while. A prediction that is asked for twice is the same prediction
and changes nothing on the server, so it does no harm where the lost one had been computed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar
from urllib.parse import quote

import msgspec

from model_store.errors import Fault

from .documents import ErrorBody, FeedbackAnswer, Label, ModelDescription, ModelList
from .version import VERSION

if TYPE_CHECKING:
    from numpy import ndarray

try:
    import httpx
except ModuleNotFoundError as error:
    raise ImportError(
        "The client needs httpx, which this installs: pip install 'quart-app[client]'"
    ) from error

JSON: Final = "application/json"
CSV: Final = "text/csv"
TIMEOUT: Final = 30.0
RETRIES: Final = 3
FIRST_PAUSE: Final = 0.2
"""Seconds before a connection is tried again; each further pause is twice as long."""
CONNECTIONS: Final = httpx.Limits(
    max_connections=100,
    max_keepalive_connections=20,
    keepalive_expiry=4,  # the server closes at 5 s what is idle; who lets go first loses nothing
)
CHUNK: Final = 256 * 1024
EXCERPT: Final = 100

Shares = dict[str, float]
"""The probability of each class, by the text of its label."""
T = TypeVar("T")


# Errors --------------------------------------------------------------------------


class ClientError(Exception):
    """Whatever this client raises of a call on purpose."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Rejected(ClientError):
    """`details` are in the order of the rows; at most the first 1,000 are told."""

    def __init__(
        self, message: str, status: int | None = None, details: Sequence[Fault] = ()
    ) -> None:
        super().__init__(message, status)
        self.details = tuple(details)


class Denied(ClientError):
    pass


class NotFound(ClientError):
    pass


class Unavailable(ClientError):
    """`retry_after` is in seconds; None where the server named no time."""

    def __init__(
        self, message: str, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, status)
        self.retry_after = retry_after


class Unreachable(ClientError):
    pass


class Timeout(ClientError):
    pass


class ServerError(ClientError):
    pass


class UnexpectedAnswer(ClientError):
    pass


_BY_STATUS: Final[Mapping[int, type[ClientError]]] = {
    401: Denied,
    403: Denied,
    404: NotFound,
    408: Timeout,
    504: Timeout,
}
_BUSY: Final = frozenset({429, 503})
_UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


# Answers -------------------------------------------------------------------------


class Explanation(msgspec.Struct, frozen=True, kw_only=True, rename={"class_": "class"}):
    """Why a row has its answer: the `base` value and the contributions of all columns together are
    the answer, on this `scale`. `class_` is the class that is explained, if it is one. `method` is
    `exact`, or `sampling`, of which `error` has standard errors by column."""

    base: float
    scale: str
    class_: Label | None = None
    contributions: dict[str, float]
    method: str
    error: dict[str, float] | None = None


class Prediction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to one row.

    A label has the class's own type, and a number is one. `score` says how usual a row is, where
    the model looks for outliers, and `standard_deviation` how sure a Gaussian process is. Of a
    model with several targets each is a list, in the order of the model's outputs.
    """

    prediction: Label | list[Label]
    probabilities: Shares | list[Shares] | None = None
    score: float | None = None
    standard_deviation: float | list[float] | None = None
    explanation: Explanation | list[Explanation] | None = None
    model: str
    version: int
    id: str
    notice: str | None = None


class Predictions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to many rows, in their order; each as in `Prediction`."""

    predictions: list[Label | list[Label]]
    probabilities: list[Shares | list[Shares]] | None = None
    score: list[float] | None = None
    standard_deviation: list[float | list[float]] | None = None
    explanations: list[Explanation | list[Explanation]] | None = None
    model: str
    version: int
    id: str
    notice: str | None = None


# The client ----------------------------------------------------------------------


class AsyncClient:
    """A client of the server at `base_url`, which may lie below a path; for any number of calls at
    a time in one event loop.

    `timeout` is in seconds and bounds each call with all its retries, of which there are at most
    `retries`. A wait that would go beyond it is not begun. A call that is cancelled ends at once,
    and its connection is closed.

    Every call may raise a `ClientError`.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
    ) -> None:
        """
        Raises:
            ValueError: no http or https address, a key that no header can carry, or a number that
                is out of range.
        """
        if not timeout > 0 or retries < 0:
            raise ValueError("Expected a timeout above 0, and no fewer retries than 0.")
        url = _address(base_url)
        headers = {"Accept": JSON, "User-Agent": f"quart-app/{VERSION}"}
        if api_key is not None:
            headers["Authorization"] = f"Bearer {_visible(api_key)}"
        # Without the user and password that an address may hold.
        self._place = f"{url.scheme}://{url.netloc.decode()}{url.path.rstrip('/')}"
        self._timeout, self._retries = timeout, retries
        self._http = httpx.AsyncClient(
            base_url=url, headers=headers, timeout=None, limits=CONNECTIONS
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; no call can follow."""
        await self._http.aclose()

    async def predict(
        self,
        name: str,
        row: Mapping[str, Any],
        *,
        version: int | str | None = None,
        explain: bool | str = False,
    ) -> Prediction:
        """Predict for one row: a value for each column.

        None and NaN are missing values; numpy's scalars and dates are taken as well. `version` is
        a number or an alias; without one, the model's version that serves is asked. With `explain`
        the answer has an explanation, on the scale that it names or on the one that suits.
        """
        if not isinstance(row, Mapping):
            raise TypeError("Expected one row, a mapping; predict_many takes many.")
        content = _to_explain(dict(row), explain)
        return await self._post(Prediction, _predict_path(name, version), content)

    async def predict_many(
        self,
        name: str,
        rows: Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any] | ndarray[Any, Any]],
        *,
        version: int | str | None = None,
        explain: bool | str = False,
    ) -> Predictions:
        """Predict for many rows, given as a list of rows, or as columns of equal lengths by name;
        and explain the answers, as `predict` does.

        The server bounds rows and bytes of a request; `predict_csv` takes what is larger.
        """
        if isinstance(rows, Mapping):
            cells = zip(*rows.values(), strict=True)
            content = [dict(zip(rows, values, strict=True)) for values in cells]
        else:
            content = [dict(row) for row in rows]
        wanted = _to_explain(content, explain)
        return await self._post(Predictions, _predict_path(name, version), wanted)

    async def predict_csv(
        self,
        name: str,
        table: str | PathLike[str] | AsyncIterable[bytes],
        *,
        version: int | str | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """Predict for a table in CSV, a file or its bytes, and yield the answer as it comes: CSV of
        the same rows with the predictions. Neither is ever held whole.

        The `timeout` bounds each silence of the server here, and the time in which a try may begin.
        Chunks from an iterator can be sent but once: after the first was taken there is no other
        try. Close the generator (`contextlib.aclosing`) where its end is not awaited.

        Raises:
            OSError: the file cannot be read.
        """
        upload = _Upload(table)
        headers = {"Accept": f"{CSV}, {JSON}", "Content-Type": CSV}

        def request() -> httpx.Request:
            return self._http.build_request(
                "POST",
                _predict_path(name, version),
                content=upload,
                headers=headers,
                timeout=self._timeout,
            )

        until = _now() + self._timeout
        answer = await self._send(request, until, self._retries, again=lambda: not upload.spent)
        async with contextlib.aclosing(answer):
            if not answer.headers.get("Content-Type", "").startswith(CSV):
                raise UnexpectedAnswer(
                    f"{self._place} answered {answer.headers.get('Content-Type')} to {CSV}.",
                    answer.status_code,
                )
            with self._translated():
                async for chunk in answer.aiter_bytes():
                    yield chunk

    async def feedback(
        self, name: str, truths: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    ) -> FeedbackAnswer:
        """Say what turned out true of one prediction, or of many: each a mapping of the `id` of the
        prediction, its `truth`, and of one among many rows its `row`, counted from 0.

        A later truth takes the place of a former one; told again it changes nothing.
        """
        content = dict(truths) if isinstance(truths, Mapping) else [dict(each) for each in truths]
        return await self._post(FeedbackAnswer, f"models/{_quoted(name)}/feedback", content)

    async def models(self) -> list[ModelDescription]:
        """All models, with what they take and what they tell."""
        return (await self._get(ModelList, "models", self._retries)).models

    async def model(self, name: str) -> ModelDescription:
        """One model, with what it takes and what it tells."""
        return await self._get(ModelDescription, f"models/{_quoted(name)}", self._retries)

    async def ready(self) -> bool:
        """Whether the server says that requests should come now. It is asked once."""
        try:
            return (await self._get(dict[str, Any], "health/ready", 0)).get("ready") is True
        except Unavailable:
            return False

    async def live(self) -> bool:
        """Whether the server says that it is alive. It is asked once."""
        return (await self._get(dict[str, Any], "health/live", 0)).get("live") is True

    # One call, which is one request or several of the same ----------------------------

    async def _post(self, kind: type[T], path: str, content: object) -> T:
        body = json.dumps(content, default=_plain).encode()
        headers = {"Content-Type": JSON}
        return await self._call(
            kind,
            lambda: self._http.build_request("POST", path, content=body, headers=headers),
            self._retries,
        )

    async def _get(self, kind: type[T], path: str, retries: int) -> T:
        return await self._call(kind, lambda: self._http.build_request("GET", path), retries)

    async def _call(self, kind: type[T], request: Callable[[], httpx.Request], retries: int) -> T:
        """The JSON of the answer, as this type, before the deadline."""
        until = _now() + self._timeout
        try:
            async with (
                asyncio.timeout_at(until),
                contextlib.aclosing(await self._send(request, until, retries)) as answer,
            ):
                with self._translated():
                    await answer.aread()
        except TimeoutError:
            raise self._timed_out() from None
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except _UNDECODABLE:
            raise UnexpectedAnswer(self._odd(answer), answer.status_code) from None

    async def _send(
        self,
        request: Callable[[], httpx.Request],
        until: float,
        retries: int,
        *,
        again: Callable[[], bool] = lambda: True,
    ) -> httpx.Response:
        """The answer 200 to the request, which is made anew for each try; its body is not read yet.

        No try begins after `until`, nor a further one where `again` says no.
        """
        pauses = (FIRST_PAUSE * 2**number for number in range(retries))
        while True:
            try:
                return await self._try(request())
            except (Unavailable, Unreachable) as error:
                pause = next(pauses, None)
                if pause is not None and isinstance(error, Unavailable):
                    pause = error.retry_after
                if pause is None or _now() + pause >= until or not again():
                    raise
            await asyncio.sleep(pause)

    async def _try(self, request: httpx.Request) -> httpx.Response:
        with self._translated():
            answer = await self._http.send(request, stream=True)
        if answer.status_code == 200:
            return answer
        async with contextlib.aclosing(answer):
            with self._translated():
                await answer.aread()
        raise self._failure(answer)

    # What went wrong, in our words ----------------------------------------------------

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise httpx's errors as ours."""
        try:
            yield
        except httpx.TimeoutException:
            raise self._timed_out() from None
        except httpx.ConnectError as error:
            raise Unreachable(f"{self._place} takes no connection: {_cause(error)}.") from error
        except httpx.TransportError as error:
            raise Unreachable(
                f"The connection to {self._place} was lost: {_cause(error)}."
            ) from error
        except httpx.DecodingError as error:
            raise UnexpectedAnswer(
                f"The answer of {self._place} is not what its Content-Encoding says: {error}."
            ) from error

    def _timed_out(self) -> Timeout:
        return Timeout(f"{self._place} gave no answer within {self._timeout:g} s.")

    def _failure(self, answer: httpx.Response) -> ClientError:
        status = answer.status_code
        try:
            said = msgspec.json.decode(answer.content, type=ErrorBody)
        except _UNDECODABLE:
            said = ErrorBody(error=self._odd(answer))
        if status in _BUSY:
            return Unavailable(said.error, status, _retry_after(answer.headers))
        if status in _BY_STATUS:
            return _BY_STATUS[status](said.error, status)
        if status >= 500:
            return ServerError(said.error, status)
        if status >= 400:
            return Rejected(said.error, status, said.details)
        return UnexpectedAnswer(said.error, status)

    def _odd(self, answer: httpx.Response) -> str:
        """A sentence of an answer that is not what this server says."""
        if answer.has_redirect_location:
            return (
                f"{self._place} sends elsewhere, which is not followed: "
                f"{answer.headers['Location']!r}."
            )
        start = " ".join(answer.content[:EXCERPT].decode(errors="replace").split())
        return (
            f"{self._place} answered {answer.status_code} with what a quart-app does not say, "
            f"beginning {start!r}."
        )


class _Upload:
    """The body of a request: a file, read anew for each try, or chunks that come once."""

    def __init__(self, source: str | PathLike[str] | AsyncIterable[bytes]) -> None:
        self._source = source
        self.spent = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if isinstance(self._source, AsyncIterable):
            self.spent = True
            async for chunk in self._source:
                yield chunk
            return
        # Unbuffered, since a file that a thread reads could not be closed otherwise.
        with await asyncio.to_thread(open, self._source, "rb", buffering=0) as file:
            while chunk := await asyncio.to_thread(file.read, CHUNK):
                yield chunk


def _now() -> float:
    return asyncio.get_running_loop().time()


def _address(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ValueError(f"Expected an address such as http://127.0.0.1:8000: {error}.") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError(f"Expected an address such as http://127.0.0.1:8000, got {text!r}.")
    return url


def _cause(error: httpx.TransportError) -> str:
    """What the error says, which may be nothing but its name."""
    return str(error).rstrip(".") or type(error).__name__


def _visible(key: str) -> str:
    """The key, if a header can carry it: else an error further down would show it."""
    if not key.isascii() or not key.isprintable() or " " in key or not key:
        raise ValueError("An API key is of visible ASCII characters.")
    return key


def _quoted(name: str) -> str:
    return quote(name, safe="")


def _to_explain(rows: object, explain: bool | str) -> object:
    """Rows, with the wish for an explanation beside them."""
    return {"rows": rows, "explain": explain} if explain else rows


def _predict_path(name: str, version: int | str | None) -> str:
    path = f"models/{_quoted(name)}"
    if version is not None:
        path += f"/versions/{_quoted(str(version))}"
    return f"{path}/predict"


def _plain(value: object) -> object:
    """What JSON has no word for, as what the server takes for it."""
    # Who sends values of numpy has imported it: it is not imported for whoever does not.
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.datetime64):
        value = value.astype("datetime64[us]").item()
        if value is None:
            return None
    if isinstance(value, date):
        return value.isoformat() if value == value else None  # pandas's NaT equals nothing
    if numpy is not None and isinstance(value, numpy.generic):
        return value.item()
    raise TypeError(f"Expected values that JSON has, got {type(value).__name__}.")


def _retry_after(headers: httpx.Headers) -> float | None:
    """Seconds until the time that the header names (RFC 9110, section 10.2.3), or None."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
