"""The operator's own module: read without running it, run once, and asked only for its own."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from model_store.errors import LoadFailed, UnreadableFile
from model_store.user_module import LIMIT, Code

SOURCE = b"""
import os
from collections import OrderedDict

RUNS = []


class Step:
    class Inner:
        pass


def function():
    return "done"
"""


def test_it_is_found_by_each_of_its_names() -> None:
    code = Code("my_steps", SOURCE)
    assert code.covers("my_steps")
    assert code.covers("__main__")
    assert code.covers(code.registered)
    assert not code.covers("os")
    assert code.find("Step") is sys.modules[code.registered].Step
    assert code.find("Step.Inner").__qualname__ == "Step.Inner"
    assert code.find("function")() == "done"
    assert code.module() is code.module()


@pytest.mark.parametrize("name", ["os.system", "OrderedDict", "RUNS", "nothing", "Step.nothing"])
def test_what_it_does_not_define_itself_is_not_found(name: str) -> None:
    with pytest.raises(LoadFailed, match=rf"^The module my_steps\.py defines no {name}\.$"):
        Code("my_steps", SOURCE).find(name)


def test_two_texts_of_one_name_stand_beside_each_other() -> None:
    one, two = Code("s", b"def f():\n    return 1"), Code("s", b"def f():\n    return 2")
    assert (one.find("f")(), two.find("f")(), one.find("f")()) == (1, 2, 1)


@pytest.mark.parametrize(
    ("source", "reason"), [(b"1 / 0", "ZeroDivisionError"), (b"raise SystemExit(3)", "SystemExit")]
)
def test_a_module_that_raises_is_told_and_leaves_nothing_behind(source: bytes, reason: str) -> None:
    code = Code("broken", source)
    with pytest.raises(LoadFailed, match=r"^The module broken\.py does not run here\.$") as caught:
        code.module()
    assert caught.value.words is not None
    assert caught.value.words.startswith(reason)
    assert code.registered not in sys.modules


def test_it_is_compiled_as_its_own_file_would_be() -> None:
    kind = Code("steps", b"class Step:\n    width: int = 1\n").find("Step")
    assert kind.__annotations__ == {"width": int}


def test_who_asks_while_it_runs_gets_it_whole_and_it_runs_once() -> None:
    code = Code("slow", b"import time\nruns = [1]\ntime.sleep(0.3)\nclass Step:\n    pass\n")
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(code.find("Step"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [code.find("Step")] * 4


def test_a_file_without_end_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "steps.py"
    path.symlink_to("/dev/zero")
    with pytest.raises(UnreadableFile, match="is larger than"):
        Code.read(path)


def test_reading_runs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "steps.py"
    path.write_bytes(b"raise SystemExit")
    assert Code.read(path) == Code("steps", b"raise SystemExit")


@pytest.mark.parametrize(
    ("name", "source", "sentence"),
    [
        ("steps.py", b"def", r"steps\.py is no Python that can be read: "),
        ("steps.py", b"\xff", r"steps\.py is no Python that can be read: "),
        ("steps.py", b"#" * (LIMIT + 1), r"steps\.py is larger than \d+ bytes"),
        ("steps.txt", b"", r"steps\.txt is no module: it needs a name such as my_steps\.py"),
        ("my-steps.py", b"", r"my-steps\.py is no module"),
        ("steps.py", None, r"steps\.py cannot be read: No such file"),
    ],
)
def test_what_is_no_module_is_refused_in_words(
    name: str, source: bytes | None, sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if source is not None:
        path.write_bytes(source)
    with pytest.raises(UnreadableFile, match=sentence):
        Code.read(path)
