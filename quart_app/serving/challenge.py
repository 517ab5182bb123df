"""A version that is tried beside the champion: which requests it gets, and how it does.

A canary answers its share, chosen by the key of a request, so that a client stays with one version.
A shadow answers nobody: a copy of its share waits in a bounded queue until nobody waits for the
champion. Of what a canary answered the champion gets a copy in the same way, so that of both there
are answers to the same rows.

The challenger has threads of its own. One that hangs or raises takes nothing from the champion: a
canary without a thread that answers gets no more requests, and copies beyond the queue are dropped
and counted.

Where several workers are one server, each counts for itself, and the gates are judged on the sum.

Known weak point: the figures are those of one server, since it began. Each server of a store
compares for itself, and the first whose gate breaks stops the challenger for all.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Literal, NamedTuple

import msgspec

from model_store import InvalidRows, Manifest, Prediction
from model_store.head import Challenger, Gates

from ..inference import InferenceRequest, InferenceResponse, InvalidRequest
from .comparison import Compared, Comparison, Difference, Side, difference
from .servable import Servable
from .workers import Workers

Variant = Literal["champion", "canary"]
Timing = Literal["champion first", "champion last"] | None
Verdict = Callable[["Challenge", Comparison, str | None], None]
"""Called once in the loop: with what was judged and the gate that was broken, or None where all
hold for as long as was asked."""


WAITING: Final = 256
"""Copies that wait; more are dropped and counted."""

TOGETHER: Final = 16
"""Requests in one call of predict: the interpreter is held for about a millisecond."""

WHOLE_ROWS: Final = 1_000
"""Rows of a request above which it is not copied."""

LOOK_AGAIN: Final = 0.002
"""Seconds until it is looked again whether nobody waits for the champion."""

TIMED_ALWAYS: Final = 64
TIMED_OFTEN: Final = 8
"""Of a shadow's calls of predict so many are timed, and then each of so many: the champion is asked
once more for that, as what it took before includes the wait of its client."""

JUDGE_AFTER: Final = 0.2
"""Seconds from an outcome to the look at the gates, which all outcomes meanwhile share."""

KEY_BYTES: Final = 8

logger = logging.getLogger(__name__)


class Copy(NamedTuple):
    """A request, and the answer that its sender got; None where it `failed`, or does not fit. It
    came by a `door`."""

    request: InferenceRequest
    response: InferenceResponse | None
    failed: bool
    door: str = "json"


class Times(NamedTuple):
    """How long both took for the same rows in the same thread, in nanoseconds."""

    champion: int
    challenger: int


class Outcome(NamedTuple):
    """What the other version made of a copy, in so many nanoseconds for all rows of its call.
    `unfit` says that the rows do not fit it. Of a shadow there may be the `times` of both."""

    times: Times | None
    failed: bool
    unfit: bool
    difference: Difference | None
    prediction: Prediction | None = None
    nanoseconds: int = 0


HUNG: Final = Outcome(None, failed=True, unfit=False, difference=None)
"""Of what came while it hung."""


class Shadowed(NamedTuple):
    """What a shadow answered to the request of a copy; `prediction` is None where it failed, or
    where the rows do not fit it."""

    manifest: Manifest
    copy: Copy
    outcome: Outcome


OnCopy = Callable[[Shadowed], None]


class Counted(msgspec.Struct, array_like=True):
    """What one worker has counted of a challenger; `waiting` counts copies."""

    comparison: Comparison
    waiting: int = 0


class Totals(NamedTuple):
    """How to know what all workers of this server have counted of a challenge, by its key. There
    are so many `workers`, which take turns at it."""

    read: Callable[[str], Awaitable[Counted]]
    workers: int


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A challenger and how it does, on this server. `waiting` and `dropped` count copies."""

    model: str
    kind: str
    version: int
    share: float
    since: str
    state: Literal["loading", "running", "failed"]
    reason: str | None
    gates: Gates
    champion: Side
    challenger: Side
    compared: Compared
    waiting: int
    dropped: int


class Challenge:
    """A challenger beside a champion. Belongs to one event loop."""

    def __init__(
        self,
        challenger: Challenger,
        champion: Servable,
        servable: Servable,
        workers: Workers,
        *,
        deadline: float,
        judge: Verdict,
        on_copy: OnCopy | None = None,
        totals: Totals | None = None,
    ) -> None:
        """`on_copy` is told in the loop of everything that a shadow is asked. With `totals` it is
        one of several workers that try the challenger."""
        self.challenger = challenger
        self.champion = champion
        self.servable = servable
        self.workers = workers
        self.comparison = Comparison()
        self.key = f"{champion.manifest.name}/{challenger.id}/{champion.manifest.version}"
        self._deadline = deadline
        self._judge = judge
        self.on_copy = on_copy
        self._salt = f"{champion.manifest.name}/{challenger.version}/".encode()
        self._copies: deque[Copy] = deque()
        self._due = 0.0
        self._hangs = False
        self._calls = 0
        self._timed = 0
        self._pump: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._proven = False
        self._totals = totals
        self._looks: set[asyncio.Task[None]] = set()

    def variant(self, key: Callable[[], str]) -> Variant:
        """Who answers the request with this key."""
        if self._closed or self.challenger.kind == "shadow" or self.servable.exhausted:
            return "champion"
        digest = hashlib.blake2b(self._salt + key().encode(), digest_size=KEY_BYTES).digest()
        place = int.from_bytes(digest) / 256**KEY_BYTES
        return "canary" if place < self.challenger.share else "champion"

    def chosen(self, variant: Variant) -> Servable:
        """What answers as this variant."""
        return self.servable if variant == "canary" else self.champion

    def answered(
        self,
        variant: Variant,
        request: InferenceRequest,
        response: InferenceResponse,
        nanoseconds: int,
        door: str,
    ) -> None:
        """Count an answer, and copy the request for the other version where that is its turn."""
        if self._closed:
            return
        copy = Copy(request, response, failed=False, door=door)
        if variant == "canary":
            self.comparison.challenger.answer(nanoseconds)
            self._offer(copy)
            self._judge_soon()
        elif self.challenger.kind == "canary":
            self.comparison.champion.answer(nanoseconds)
        elif self._is_its_turn():
            self._offer(copy)

    def failed(self, variant: Variant, request: InferenceRequest, error: Exception) -> None:
        """Count a request without an answer. Rows that do not fit are the sender's fault, unless
        the other version takes them."""
        if self._closed:
            return
        is_unfit = isinstance(error, InvalidRows | InvalidRequest)
        copy = Copy(request, None, failed=not is_unfit)
        if variant == "canary":
            if is_unfit:
                self._offer(copy)
            else:
                self.comparison.challenger.fail()
                self._judge_soon()
        elif is_unfit:
            return
        elif self.challenger.kind == "canary":
            self.comparison.champion.fail()
        elif self._is_its_turn():
            self._offer(copy)

    @property
    def counted(self) -> Counted:
        """What this worker has counted."""
        return Counted(self.comparison, len(self._copies))

    async def counted_of_all(self) -> Counted:
        """What all workers of this server have counted."""
        return self.counted if self._totals is None else await self._totals.read(self.key)

    def standing(self, counted: Counted) -> Standing:
        """How it does, in figures."""
        found, comparison = self.challenger, counted.comparison
        return Standing(
            model=self.champion.manifest.name,
            kind=found.kind,
            version=found.version,
            share=found.share,
            since=found.since,
            state="running",
            reason="Every thread of it hangs." if self.servable.exhausted else None,
            gates=found.gates,
            champion=comparison.champion.told(self.champion.manifest.version),
            challenger=comparison.challenger.told(found.version),
            compared=comparison.told(),
            waiting=counted.waiting,
            dropped=comparison.dropped,
        )

    def close(self) -> None:
        """Take no more copies; what waits is dropped, and a thread that hangs is left alone."""
        self._closed = True
        self._copies.clear()
        if self._timer is not None:
            self._timer.cancel()
        for task in self._looks:
            task.cancel()
        if self._pump is not None:
            self._pump.cancel()
        self.workers.shutdown(wait=False, cancel_futures=True)

    # Copies ----------------------------------------------------------------------

    def _is_its_turn(self) -> bool:
        """Whether this request is one of the share of a shadow, in even steps."""
        self._due += self.challenger.share
        if self._due < 1:
            return False
        self._due -= 1
        return True

    def _offer(self, copy: Copy) -> None:
        if self._hangs:
            self._count(copy, HUNG)
            self._judge_soon()
            return
        if len(self._copies) >= WAITING or copy.request.rows > WHOLE_ROWS:
            self.comparison.dropped += 1
            return
        self._copies.append(copy)
        if self._pump is None:
            self._pump = asyncio.get_running_loop().create_task(self._pump_copies())

    async def _pump_copies(self) -> None:
        """Ask what waits, until nothing does."""
        try:
            while self._copies and not self._closed:
                if self.champion.waiting_rows:
                    await asyncio.sleep(LOOK_AGAIN)
                    continue
                many = min(TOGETHER, len(self._copies))
                await self._ask([self._copies.popleft() for _ in range(many)])
        finally:
            self._pump = None

    async def _ask(self, copies: Sequence[Copy]) -> None:
        is_shadow = self.challenger.kind == "shadow"
        asked, other = (
            (self.servable, self.champion) if is_shadow else (self.champion, self.servable)
        )
        call = partial(_outcomes, asked, other, copies, timed=self._timing())
        future = asyncio.wrap_future(self.workers.submit(call))
        try:
            # The thread cannot be stopped: it is left, and the next call waits until it is back.
            async with asyncio.timeout(self._deadline):
                outcomes = await asyncio.shield(future)
        except TimeoutError:
            outcomes = [HUNG] * len(copies)
        for copy, outcome in zip(copies, outcomes, strict=True):
            self._count(copy, outcome)
        self._judge_soon()
        if not future.done():
            self._hangs = True
            try:
                await asyncio.wait([future])
            finally:
                self._hangs = False

    def _timing(self) -> Timing:
        """Whether both are timed for the next call of a shadow, and who is asked first: the second
        finds warm caches, so they take turns."""
        if self.challenger.kind != "shadow":
            return None
        self._calls += 1
        if self._calls > TIMED_ALWAYS and self._calls % TIMED_OFTEN:
            return None
        self._timed += 1
        return "champion first" if self._timed % 2 else "champion last"

    def _count(self, copy: Copy, outcome: Outcome) -> None:
        if self.challenger.kind == "shadow":
            self._count_shadow(copy, outcome)
        else:
            self._count_canary(copy, outcome)

    def _count_shadow(self, copy: Copy, outcome: Outcome) -> None:
        """Both over the same rows: of what was dropped neither is counted."""
        champion, challenger = self.comparison.champion, self.comparison.challenger
        times = outcome.times
        if copy.failed:
            champion.fail()
        else:
            champion.answer(None if times is None else times.champion)
        if outcome.failed or outcome.unfit:
            challenger.fail()
        else:
            challenger.answer(None if times is None else times.challenger)
        if outcome.difference is not None:
            self.comparison.add(outcome.difference)
        if self.on_copy is not None:
            self.on_copy(Shadowed(self.servable.manifest, copy, outcome))

    def _count_canary(self, copy: Copy, outcome: Outcome) -> None:
        """The champion was asked what a canary answered, for the difference alone."""
        if copy.response is None and not outcome.unfit and not outcome.failed:
            self.comparison.challenger.fail()  # the champion takes these rows
        if outcome.difference is not None:
            self.comparison.add(outcome.difference)

    # Gates -----------------------------------------------------------------------

    def _judge_soon(self) -> None:
        if self._timer is None and not self._closed:
            loop = asyncio.get_running_loop()
            seconds = JUDGE_AFTER * (1 if self._totals is None else self._totals.workers)
            self._timer = loop.call_later(seconds, self._look_at_gates)

    def _look_at_gates(self) -> None:
        self._timer = None
        if self._totals is None:
            self._decide(self.comparison)
            return
        task = asyncio.get_running_loop().create_task(self._look_at_all())
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)

    async def _look_at_all(self) -> None:
        """Judge on what all workers have counted."""
        try:
            found = await self.counted_of_all()
        except Exception:
            logger.exception("what the workers have counted of a challenger cannot be added up")
        else:
            self._decide(found.comparison)

    def _decide(self, found: Comparison) -> None:
        if self._closed:
            return
        gates = self.challenger.gates
        broken = found.broken(gates)
        if broken is not None:
            self.close()
            self._judge(self, found, broken)
        elif not self._proven and found.is_proven(gates):
            self._proven = True
            self._judge(self, found, None)


def _outcomes(
    asked: Servable, other: Servable, copies: Sequence[Copy], *, timed: Timing
) -> list[Outcome]:
    """What a version makes of copies of requests that another answered; with `timed` also how long
    both take. Runs in a thread."""
    requests = [copy.request for copy in copies]
    before = _took(other, requests) if timed == "champion first" else None
    begun = time.perf_counter_ns()
    try:
        predictions = asked.predict_apart(requests)
    except BaseException as error:
        if len(copies) > 1:
            return [
                outcome
                for copy in copies
                for outcome in _outcomes(asked, other, [copy], timed=None)
            ]
        unfit = isinstance(error, InvalidRows | InvalidRequest)
        return [Outcome(None, failed=not unfit, unfit=unfit, difference=None)]
    took = time.perf_counter_ns() - begun
    champion = _took(other, requests) if timed == "champion last" else before
    times = None if champion is None else Times(champion, took)
    return [
        Outcome(
            times,
            failed=False,
            unfit=False,
            difference=_difference(asked, other, copy, found),
            prediction=found,
            nanoseconds=took,
        )
        for copy, found in zip(copies, predictions, strict=True)
    ]


def _took(servable: Servable, requests: Sequence[InferenceRequest]) -> int | None:
    begun = time.perf_counter_ns()
    try:
        servable.predict_apart(requests)
    except Exception:  # which its clients saw
        return None
    return time.perf_counter_ns() - begun


def _difference(
    asked: Servable, other: Servable, copy: Copy, prediction: Prediction
) -> Difference | None:
    response = copy.response
    if response is None:
        return None
    return difference(
        other.manifest,
        response.labels,
        response.probabilities,
        response.classes,
        prediction,
        asked.manifest,
    )
