from __future__ import annotations

import gc
import re
import subprocess
import sys
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

from quart_app.random_ids import STOCK, RandomIds

FORKS = """
import os
from quart_app.random_ids import STOCK, RandomIds

ids = RandomIds()
print(ids.new(), flush=True)
if child := os.fork():
    os.waitpid(child, 0)
print(*(ids.new() for _ in range(STOCK)), flush=True)
"""


def test_an_id_has_128_bits_in_hexadecimal_digits_and_is_given_once() -> None:
    ids = RandomIds()
    given = [ids.new() for _ in range(3 * STOCK)]
    assert len(set(given)) == len(given)
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in given)


def test_ids_are_ordered_by_the_millisecond_in_which_they_were_given() -> None:
    ids = [RandomIds(), RandomIds()]
    given = []
    for number in range(6):
        given.append(ids[number % 2].new())
        time.sleep(0.002)
    assert given == sorted(given)
    assert abs(int(given[0][:12], 16) / 1000 - time.time()) < 10


def test_threads_are_given_different_ids() -> None:
    ids = RandomIds()
    with ThreadPoolExecutor(8) as threads:
        given = list(threads.map(lambda _: [ids.new() for _ in range(STOCK)], range(100)))
    assert len({each for some in given for each in some}) == 100 * STOCK


def test_a_process_that_is_forked_gives_ids_of_its_own() -> None:
    output = subprocess.run(
        [sys.executable, "-c", FORKS], check=True, capture_output=True, text=True
    ).stdout
    given = output.split()
    assert len(given) == 1 + 2 * STOCK
    assert len(set(given)) == len(given)


def test_nothing_holds_what_is_not_used_any_more() -> None:
    ids = RandomIds()
    reference = weakref.ref(ids)
    del ids
    gc.collect()
    assert reference() is None
