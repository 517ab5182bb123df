from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .test_run import HTTP_SERVERS
from .trees import HEARTBEAT, LONG, Load, Tree, growing

pytestmark = pytest.mark.process


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    with growing(tmp_path) as found:
        yield found


@pytest.fixture
def young(tmp_path: Path) -> Iterator[Tree]:
    """One that has just been started, and takes long to load."""
    (tmp_path / "model").write_text("sleep 30")
    found = Tree(tmp_path)
    yield found
    found.close()


def ended(pid: int) -> bool:
    deadline = time.monotonic() + LONG
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.02)
                continue
        return True
    return False


# What serves -----------------------------------------------------------------------


def test_there_are_as_many_workers_as_were_asked_for_each_with_a_slot(tree: Tree) -> None:
    found = tree.workers()
    assert sorted(worker["slot"] for worker in found.values()) == [0, 1]
    assert {worker["generation"] for worker in found.values()} == {1}


def test_somebody_answers_while_the_models_are_loaded(young: Tree) -> None:
    young.wait_until_it_listens()
    answer = young.ask("/")
    assert (answer["model"], answer["generation"]) == ("awaited", 0)


def test_a_worker_that_was_killed_is_replaced_and_the_others_lose_nothing(tree: Tree) -> None:
    before = set(tree.workers())
    victim = before.pop()
    with Load(tree.port) as load:
        time.sleep(0.3)
        os.kill(victim, signal.SIGKILL)
        after = tree.wait_for(lambda found: len(found) == 2 and victim not in found)
    assert before <= set(after)
    assert load.answered > 20
    assert len(load.lost) <= 4  # those that it had


def test_a_worker_that_keeps_the_interpreter_is_killed_and_says_where_it_hung(tree: Tree) -> None:
    with contextlib.suppress(TimeoutError):
        tree.ask("/hang", seconds=0.5)
    begun = time.monotonic()
    with Load(tree.port) as load:
        while "It is killed" not in tree.errors.read_text():
            assert time.monotonic() < begun + LONG
            time.sleep(0.1)
        tree.wait_for_models("1")
    assert time.monotonic() - begun > HEARTBEAT / 2
    assert load.answered > 20
    assert load.lost == []
    assert "trees.py" in tree.errors.read_text()  # the stack of the thread


def test_a_worker_that_crashes_is_replaced_each_time_and_its_stack_is_written(tree: Tree) -> None:
    for _ in range(3):
        with contextlib.suppress(Exception):
            tree.ask("/crash")
        tree.wait_for(lambda found: len(found) >= 1)
    tree.wait_for_models("1")
    assert tree.errors.read_text().count("ended by SIGSEGV") == 3
    assert "Fatal Python error: Segmentation fault" in tree.errors.read_text()


def test_a_machine_that_stood_still_ends_nobody(tree: Tree) -> None:
    before = set(tree.workers())
    everybody = [tree.process.pid, *tree.descendants()]
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(HEARTBEAT + 1)
    for pid in everybody:
        os.kill(pid, signal.SIGCONT)
    time.sleep(1)
    assert set(tree.workers()) == before


# Loading again ---------------------------------------------------------------------


@pytest.mark.parametrize("server", HTTP_SERVERS)
@pytest.mark.parametrize("kept", [False, True])
def test_new_workers_take_over_and_no_request_is_lost(
    tmp_path: Path, server: str, kept: bool
) -> None:
    with growing(tmp_path, server=server) as tree, Load(tree.port, kept=kept) as load:
        for model in ("2", "3", "4"):
            tree.load(model)
            tree.ask("/want")
            tree.wait_for_models(model)
        assert len(tree.descendants()) <= 2 * (2 + 1)
    assert load.lost == []
    assert load.answered > 50


def test_what_was_taken_is_answered_by_who_took_it(tree: Tree) -> None:
    answers = []
    asking = threading.Thread(target=lambda: answers.append(tree.ask("/sleep/3")))
    asking.start()
    time.sleep(0.3)
    tree.load("2")
    tree.ask("/want")
    tree.wait_for_models("2")
    asking.join()
    assert answers[0]["model"] == "1"


def test_what_takes_long_is_answered_by_who_took_it_while_others_take_over_again(
    tree: Tree,
) -> None:
    answers = []
    asking = threading.Thread(target=lambda: answers.append(tree.ask("/sleep/20")))
    asking.start()
    time.sleep(0.3)
    for model in ("2", "3"):  # the second begins when all else of the first has had its time
        tree.load(model)
        tree.ask("/want")
        tree.wait_for_models(model)
    assert not answers
    asking.join()
    assert answers[0]["model"] == "1"
    tree.wait_for(lambda found: len(tree.descendants()) == 3)


def test_who_still_has_work_after_a_swap_ends_with_the_server(tree: Tree) -> None:
    def ask() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            tree.ask("/sleep/50")

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.3)
    tree.load("2")
    tree.ask("/want")
    tree.wait_for_models("2")
    everybody = tree.descendants()
    begun = time.monotonic()
    assert tree.end() == 0
    assert time.monotonic() - begun < 15
    assert all(map(ended, everybody))
    asking.join()


def test_loading_that_crashes_leaves_what_serves_and_is_not_tried_with_that_again(
    tree: Tree,
) -> None:
    before = set(tree.workers())
    tree.load("crash")
    with Load(tree.port) as load:
        tree.ask("/want")
        while "is not loaded again" not in tree.errors.read_text():
            time.sleep(0.1)
            assert tree.process.poll() is None
        assert set(tree.workers()) == before
        tree.wait_for_models("without The process that loaded it ended by SIGSEGV.")
    assert load.lost == []


def test_loading_that_fails_is_tried_again_after_ever_longer_pauses(tree: Tree) -> None:
    before = set(tree.workers())
    tree.load("raise")
    tree.ask("/want")
    while tree.errors.read_text().count("loads the models has ended with 1") < 2:
        time.sleep(0.1)
    assert set(tree.workers()) == before
    tree.load("2")
    found = tree.wait_for(lambda found: len(found) == 2 and not before & set(found))
    assert found


def test_workers_that_end_before_they_serve_never_take_over(tree: Tree) -> None:
    before = set(tree.workers())
    tree.load("exit")
    tree.ask("/want")
    while tree.errors.read_text().count("has ended with 3") < 4:
        time.sleep(0.1)
    assert set(tree.workers()) == before
    assert tree.process.poll() is None


def test_a_loader_that_was_killed_is_replaced_and_nothing_is_lost(tree: Tree) -> None:
    before = set(tree.workers())
    loader = tree.loader()
    with Load(tree.port) as load:
        os.kill(loader, signal.SIGKILL)
        tree.wait_for(lambda found: len(found) == 2 and not before & set(found))
    assert load.lost == []


# The end ---------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_all_end_by_a_signal_once_they_have_answered(tree: Tree, number: signal.Signals) -> None:
    answers = []
    asking = [
        threading.Thread(target=lambda: answers.append(tree.ask("/sleep/1")["pid"]))
        for _ in range(8)
    ]
    for thread in asking:
        thread.start()
    time.sleep(0.5)
    everybody = tree.descendants()
    assert tree.end(number) == 0
    for thread in asking:
        thread.join()
    assert len(answers) == 8
    assert all(map(ended, everybody))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", tree.port))


def test_a_connection_that_comes_at_the_end_is_refused_or_answered(tree: Tree) -> None:
    with Load(tree.port, clients=8) as load:
        time.sleep(0.3)
        assert tree.end() == 0
        time.sleep(0.1)
    assert all("ConnectionRefused" in error for error in load.lost), load.lost


def test_a_second_signal_neither_hastens_nor_disturbs_the_end(tree: Tree) -> None:
    answers = []
    asking = threading.Thread(target=lambda: answers.append(tree.ask("/sleep/1.5")))
    asking.start()
    time.sleep(0.3)
    for _ in range(2):
        tree.process.terminate()
        time.sleep(0.3)
    assert tree.process.wait(LONG) == 0
    asking.join()
    assert answers


def test_a_signal_before_anything_is_there_ends_it(young: Tree) -> None:
    time.sleep(0.2)
    code = young.end()
    assert code in (0, -signal.SIGTERM)  # before there was a handler


def test_a_signal_while_the_models_are_loaded_ends_it(young: Tree) -> None:
    young.wait_until_it_listens()
    everybody = young.descendants()
    begun = time.monotonic()
    assert young.end() == 0
    assert time.monotonic() - begun < 15
    assert all(map(ended, everybody))


def test_a_signal_while_new_workers_come_ends_both_generations(tree: Tree) -> None:
    tree.load("sleep 30")
    tree.ask("/want")
    time.sleep(1)
    everybody = tree.descendants()
    assert tree.end() == 0
    assert all(map(ended, everybody))


@pytest.mark.parametrize("wait", [0.3, 0.6, 0.9, 1.2])
def test_a_signal_at_any_moment_of_a_swap_ends_all(tree: Tree, wait: float) -> None:
    tree.load("2")
    tree.ask("/want")
    time.sleep(wait)
    everybody = tree.descendants()
    assert tree.end() == 0
    assert all(map(ended, everybody))


def test_the_worst_exit_code_is_that_of_the_server(tree: Tree) -> None:
    with contextlib.suppress(TimeoutError):
        tree.ask("/hang", seconds=0.3)
    # Its own watchdog begins with a signal that is never handled.
    assert tree.end() == 128 + signal.SIGKILL


def test_when_the_supervisor_is_killed_all_others_end_and_answer_what_they_have(
    tree: Tree,
) -> None:
    answers = []
    asking = threading.Thread(target=lambda: answers.append(tree.ask("/sleep/1")))
    asking.start()
    time.sleep(0.3)
    everybody = tree.descendants()
    tree.process.kill()
    assert all(map(ended, everybody))
    asking.join()
    assert answers
