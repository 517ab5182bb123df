"""The tasks, on SQLite and on PostgreSQL alike: kept whatever happens, and bounded in time.

PostgreSQL is the one at TEST_POSTGRES_URL, whose user may create schemas: each test has its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import os
import socket
import sqlite3
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from multiprocessing.context import ForkServerContext
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from quart_app import create_app
from quart_app.blueprints.tour.app_tasks import EXTENSION
from quart_app.tasks.task import (
    MAX_DESCRIPTION,
    MAX_TASKS,
    MAX_TITLE,
    InvalidTask,
    Task,
    TaskNotFound,
    TasksUnavailable,
    TooManyTasks,
)
from quart_app.tasks.tasks import FIRST_TASKS, Tasks

from ...conftest import started
from ...databases import Proxy, execute, postgres_schema, proxied
from ...mounts import mounted

LIMIT = 0.5
SLACK = 5.0
"""What a busy machine may take beyond a limit; an operation that hangs takes for ever."""

FIRST = [Task(number, *texts) for number, texts in enumerate(FIRST_TASKS, start=1)]


# The databases --------------------------------------------------------------------


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A database in a folder that is not there yet."""
    return f"sqlite:///{tmp_path}/data/tasks.sqlite3"


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """A schema of the test's own, removed afterwards."""
    with postgres_schema() as found:
        yield found


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """A new database of either kind."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture
async def tasks(url: str) -> AsyncIterator[Tasks]:
    async with opened(url) as found:
        yield found


@contextlib.asynccontextmanager
async def opened(url: str, seconds: float = 20) -> AsyncIterator[Tasks]:
    found = Tasks(url, seconds=seconds)
    try:
        yield found
    finally:
        await found.close()


async def reason(tasks: Tasks) -> str:
    """Why the tasks are not available, told within the limit."""
    begun = time.monotonic()
    with pytest.raises(TasksUnavailable) as raised:
        await tasks.all()
    assert time.monotonic() - begun < LIMIT + SLACK
    assert str(raised.value) == "The tasks are not available at the moment."
    return raised.value.reason


# One process ------------------------------------------------------------------------


async def test_a_new_database_holds_the_tasks_1_to_3(tasks: Tasks) -> None:
    assert await tasks.all() == FIRST
    assert [task.id for task in FIRST] == [1, 2, 3]
    assert all(task.title and task.description and not task.done for task in FIRST)


async def test_a_task_is_added_read_changed_and_removed(tasks: Tasks) -> None:
    added = await tasks.add("Water the plants", "all of them")
    assert added == Task(4, "Water the plants", "all of them", False)
    assert await tasks.get(4) == added
    assert await tasks.update(4, done=True) == Task(4, "Water the plants", "all of them", True)
    assert await tasks.update(4, description="") == Task(4, "Water the plants", "", True)
    assert await tasks.update(4, title="Rest", done=False) == Task(4, "Rest", "", False)
    assert await tasks.update(4) == await tasks.get(4) == Task(4, "Rest", "", False)
    assert await tasks.all() == [*FIRST, Task(4, "Rest")]
    await tasks.remove(4)
    assert await tasks.all() == FIRST


async def test_the_id_of_a_removed_task_is_not_given_again(url: str) -> None:
    async with opened(url) as tasks:
        last = await tasks.add("last")
        await tasks.remove(last.id)
    async with opened(url) as tasks:
        assert (await tasks.add("next")).id > last.id


@pytest.mark.parametrize("id", [4, 0, -1, 2**31, 2**63 - 1, 2**63, 10**40])
async def test_an_unknown_id_is_not_found(tasks: Tasks, id: int) -> None:
    with pytest.raises(TaskNotFound, match=r"^There is no such task\.$"):
        await tasks.get(id)
    with pytest.raises(TaskNotFound):
        await tasks.update(id, done=True)
    with pytest.raises(TaskNotFound):
        await tasks.remove(id)
    assert await tasks.all() == FIRST


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "Robert'); DROP TABLE quart_app_tasks;--",
        "日本語 é 🙂 \u202e",
        '100 % of %s and :name, ? $1 \\ "',
        "two\nlines\tand \x01",
        "  blanks  ",
        "🙂" * MAX_TITLE,
    ],
)
async def test_a_text_comes_back_as_it_went_in(tasks: Tasks, text: str) -> None:
    added = await tasks.add(text, text)
    assert (added.title, added.description) == (text, text)
    assert await tasks.get(added.id) == added
    assert await tasks.update(1, title=text, description=text) == Task(1, text, text)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"title": ""}, "title: expected 1 to 200 characters, got none."),
        ({"title": " \n"}, "title: expected 1 to 200 characters, got none."),
        ({"title": "x" * (MAX_TITLE + 1)}, "title: expected at most 200 characters, got 201."),
        ({"title": "a\0b"}, "title: expected characters that UTF-8 can write, and no NUL."),
        ({"title": "\udc80"}, "title: expected characters that UTF-8 can write, and no NUL."),
        (
            {"title": "x", "description": "x" * (MAX_DESCRIPTION + 1)},
            "description: expected at most 10000 characters, got 10001.",
        ),
        (
            {"title": "x", "description": "\0"},
            "description: expected characters that UTF-8 can write, and no NUL.",
        ),
    ],
)
async def test_a_text_that_cannot_be_kept_is_refused(
    sqlite_url: str, texts: dict[str, Any], message: str
) -> None:
    async with opened(sqlite_url) as tasks:
        for change in (tasks.add(**texts), tasks.update(1, **texts)):
            with pytest.raises(InvalidTask) as raised:
                await change
            assert str(raised.value) == message
        assert await tasks.all() == FIRST


async def test_the_longest_texts_are_kept(tasks: Tasks) -> None:
    added = await tasks.add("é" * MAX_TITLE, "é" * MAX_DESCRIPTION)
    assert await tasks.get(added.id) == added


async def test_no_more_tasks_are_kept_than_are_listed_at_once(url: str) -> None:
    async with opened(url) as tasks:
        assert await tasks.all() == FIRST
        execute(
            url,
            "INSERT INTO quart_app_tasks (title, description, done) WITH RECURSIVE n (i) AS"
            f" (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MAX_TASKS - 4})"
            " SELECT 'one of many', '', false FROM n",
        )
        await tasks.add("the last")
        with pytest.raises(TooManyTasks, match=rf"^There are {MAX_TASKS} tasks, "):
            await tasks.add("one too many")
        assert len(await tasks.all()) == MAX_TASKS
        await tasks.remove(1)
        await tasks.add("the last again")


async def test_many_at_once_share_a_few_connections(url: str) -> None:
    async with opened(url) as tasks:
        added = await asyncio.gather(*(tasks.add(f"task {number}") for number in range(40)))
        assert len({task.id for task in added}) == 40
        assert await tasks.all() == [*FIRST, *sorted(added, key=lambda task: task.id)]


async def test_a_restart_keeps_the_tasks_and_adds_none(url: str) -> None:
    async with opened(url) as tasks:
        kept = [await tasks.update(1, done=True), await tasks.get(2), await tasks.add("mine")]
        await tasks.remove(3)
    async with opened(url) as tasks:
        assert await tasks.all() == kept
        for task in kept:
            await tasks.remove(task.id)
    async with opened(url) as tasks:
        assert await tasks.all() == []


async def test_an_operation_goes_on_when_its_caller_is_cancelled(url: str) -> None:
    async with opened(url) as tasks:
        caller = asyncio.create_task(tasks.add("from one who left"))
        await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
    async with opened(url) as tasks:
        assert (await tasks.get(4)).title == "from one who left"


async def test_once_closed_they_stay_closed_and_leave_nothing_behind(url: str) -> None:
    before = threading.active_count()
    async with opened(url) as tasks:
        await asyncio.gather(*(tasks.all() for _ in range(10)))
    with pytest.raises(TasksUnavailable) as raised:
        await tasks.all()
    assert raised.value.reason == "they have been closed"
    await tasks.close()
    until = time.monotonic() + SLACK
    while sum(not thread.name.startswith("asyncio_") for thread in threading.enumerate()) > before:
        assert time.monotonic() < until
        await asyncio.sleep(0.01)


async def test_what_is_committed_is_on_disk(sqlite_url: str) -> None:
    async with opened(sqlite_url) as tasks:
        await tasks.all()
        engine = (await tasks._prepared()).database._engine
        async with engine.connect() as connection:
            found = [
                (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar()
                for name in ("journal_mode", "synchronous")
            ]
        assert found == ["wal", 2]


# Several processes -------------------------------------------------------------------


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Processes that start in milliseconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "quart_app.tasks.database"])
    return context


def create(url: str, barrier: Barrier) -> None:
    async def main() -> None:
        async with opened(url) as tasks:
            await asyncio.to_thread(barrier.wait, 30)
            assert await tasks.all() == FIRST

    asyncio.run(main())


def write(url: str, name: str, notes: Path, number: int) -> None:
    """Add, change and remove tasks, and note what was acknowledged, in lines that no kill tears."""

    async def main() -> None:
        async with opened(url) as tasks:
            for count in range(number):
                task = await tasks.add(f"{name} {count}")
                note(f"added {task.id} {task.title}")
                await tasks.update(task.id, done=True)
                note(f"done {task.id}")
                if count % 3 == 0:
                    await tasks.remove(task.id)
                    note(f"removed {task.id}")

    def note(line: str) -> None:
        os.write(handle, f"{line}\n".encode())

    handle = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    asyncio.run(main())


@pytest.mark.process
def test_processes_that_create_it_at_once_create_it_once(
    url: str, processes: ForkServerContext
) -> None:
    barrier = processes.Barrier(4)
    running = [processes.Process(target=create, args=(url, barrier)) for _ in range(4)]
    for process in running:
        process.start()
    for process in running:
        process.join(60)
    assert [process.exitcode for process in running] == [0] * 4


@pytest.mark.process
async def test_nothing_acknowledged_is_lost_when_one_of_two_writers_is_killed(
    url: str, processes: ForkServerContext, tmp_path: Path
) -> None:
    notes = {name: tmp_path / name for name in ("killed", "other")}
    numbers = {"killed": 100_000, "other": 60}
    running = {
        name: processes.Process(target=write, args=(url, name, notes[name], numbers[name]))
        for name in notes
    }
    for process in running.values():
        process.start()
    until = time.monotonic() + 60
    while not notes["killed"].exists() or notes["killed"].read_text().count("\n") < 50:
        assert time.monotonic() < until
        await asyncio.sleep(0.01)
    running["killed"].kill()
    await asyncio.to_thread(running["other"].join, 60)
    await asyncio.to_thread(running["killed"].join, 60)
    assert running["killed"].exitcode == -9
    assert running["other"].exitcode == 0

    expected: dict[int, str] = {}
    noted: dict[str, set[int]] = {"added": set(), "done": set(), "removed": set()}
    for line in "".join(path.read_text() for path in notes.values()).splitlines():
        word, id, *title = line.split(" ", 2)
        assert int(id) not in noted[word]
        noted[word].add(int(id))
        if title:
            expected[int(id)] = title[0]
    async with opened(url) as tasks:
        found = {task.id: task for task in await tasks.all() if task.id > 3}
        assert (await tasks.add("afterwards")).id > max(expected)
    # The one that was killed may have done one thing more than it could note.
    missing = noted["added"] - noted["removed"] - found.keys()
    assert len(missing) + len(found.keys() - noted["added"]) <= 1
    assert not noted["removed"] & found.keys()
    for number in found.keys() & noted["added"]:
        assert found[number].title == expected[number]
        assert found[number].done or number not in noted["done"]


# A database that is not as it should be ------------------------------------------


async def test_a_file_where_the_folder_should_be_fails_until_it_is_gone(
    sqlite_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data").write_text("in the way")
    async with opened(sqlite_url, LIMIT) as tasks:
        assert "data" in await reason(tasks)
        assert f"tasks are not available: {tmp_path}/data/tasks.sqlite3: " in caplog.text
        (tmp_path / "data").unlink()
        assert await tasks.all() == FIRST


async def test_a_file_that_is_no_database_fails_and_is_left_as_it_was(
    sqlite_url: str, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    file = tmp_path / "data/tasks.sqlite3"
    file.write_text("my diary " * 1000)
    async with opened(sqlite_url, LIMIT) as tasks:
        assert (await reason(tasks)).endswith("tasks.sqlite3: file is not a database")
    assert file.read_text() == "my diary " * 1000


async def test_a_folder_that_is_read_only_fails(sqlite_url: str, tmp_path: Path) -> None:
    with mounted(tmp_path / "data", "-t", "tmpfs", "-o", "ro", "tmpfs"):
        async with opened(sqlite_url, LIMIT) as tasks:
            assert (await reason(tasks)).endswith("tasks.sqlite3: unable to open database file")


async def test_a_full_disk_fails_to_add_and_goes_on_reading(
    sqlite_url: str, tmp_path: Path
) -> None:
    with mounted(tmp_path / "data", "-t", "tmpfs", "-o", "size=512k", "tmpfs") as folder:
        (folder / "filler").write_bytes(bytes(256 * 1024))
        async with opened(sqlite_url) as tasks:
            added: list[Task] = []
            with pytest.raises(TasksUnavailable) as raised:  # noqa: PT012
                while len(added) < 200:
                    added.append(await tasks.add("large", "x" * MAX_DESCRIPTION))
            assert raised.value.reason.endswith("tasks.sqlite3: database or disk is full")
            assert added
            assert await tasks.get(1) == FIRST[0]
        async with opened(sqlite_url) as tasks:
            assert await tasks.all() == [*FIRST, *added]
            (folder / "filler").unlink()
            added.append(await tasks.add("with space again", "x" * MAX_DESCRIPTION))
            assert await tasks.all() == [*FIRST, *added]


async def test_another_who_keeps_the_file_locked_is_waited_for_so_long_and_no_longer(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with opened(sqlite_url, LIMIT) as tasks:
        assert await tasks.all() == FIRST
        with contextlib.closing(sqlite3.connect(tmp_path / "data/tasks.sqlite3")) as other:
            other.execute("BEGIN IMMEDIATE")
            assert await tasks.all() == FIRST
            begun = time.monotonic()
            with pytest.raises(TasksUnavailable, match="not available"):
                await tasks.add("meanwhile")
            assert time.monotonic() - begun < LIMIT + SLACK
        assert (await tasks.add("afterwards")).title == "afterwards"


async def test_a_file_that_was_removed_is_made_anew_before_anything_is_written(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with opened(sqlite_url) as tasks:
        await tasks.add("gone with the file")
        for file in (tmp_path / "data").iterdir():
            file.unlink()
        (tmp_path / "data").rmdir()
        added = await tasks.add("in the new one")
        assert added.id == 4
    async with opened(sqlite_url) as tasks:
        assert await tasks.all() == [*FIRST, added]


async def test_a_table_that_was_dropped_is_made_anew_after_one_failure(url: str) -> None:
    async with opened(url) as tasks:
        assert await tasks.all() == FIRST
        execute(url, "DROP TABLE quart_app_tasks")
        with pytest.raises(TasksUnavailable) as raised:
            await tasks.all()
        assert "quart_app_tasks" in raised.value.reason
        assert await tasks.all() == FIRST


async def test_an_app_without_its_database_starts_and_serves(
    bundled_root: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("in the way")
    url = f"sqlite:///{tmp_path}/data/tasks.sqlite3"
    app = create_app(MODEL_STORE=bundled_root, RECIPES="", DATABASE_URL=url)
    async with started(app) as running:
        tasks = app.extensions[EXTENSION]
        with pytest.raises(TasksUnavailable):
            await tasks.all()
        client = running.test_client()
        assert (await client.get("/health/ready")).status_code == 200
        answer = await client.get("/models/exam/predict?X1=61.1&X2=17.3")
        assert answer.status_code == 200
        (tmp_path / "data").unlink()
        assert await tasks.all() == FIRST
    with pytest.raises(TasksUnavailable) as raised:
        await tasks.all()
    assert raised.value.reason == "they have been closed"


# PostgreSQL over a wire that fails ----------------------------------------------


@pytest.fixture
async def proxy(postgres_url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """The proxy, and the URL of the database through it."""
    async with proxied(postgres_url) as found:
        yield found


async def test_a_server_that_went_away_fails_until_it_is_back(proxy: tuple[Proxy, str]) -> None:
    server, url = proxy
    async with opened(url, LIMIT) as tasks:
        assert await tasks.all() == FIRST
        await server.close()
        assert f"postgresql://127.0.0.1:{server.port}/" in await reason(tasks)
        assert "refused" in await reason(tasks)
        await server.open()
        assert await tasks.all() == FIRST


async def test_connections_that_the_server_ended_are_replaced_without_an_error(
    postgres_url: str,
) -> None:
    async with opened(postgres_url) as tasks:
        await asyncio.gather(*(tasks.all() for _ in range(10)))
        execute(
            postgres_url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename = current_user AND pid <> pg_backend_pid()",
        )
        assert await asyncio.gather(*(tasks.all() for _ in range(10))) == [FIRST] * 10


async def test_a_server_that_hangs_is_given_up_and_used_again_when_it_answers(
    proxy: tuple[Proxy, str],
) -> None:
    server, url = proxy
    async with opened(url, LIMIT) as tasks:
        assert await tasks.all() == FIRST
        server.flows.clear()
        assert await asyncio.gather(*(reason(tasks) for _ in range(12)))
        assert await reason(tasks)
        server.flows.set()
        until = time.monotonic() + 10
        while True:
            with contextlib.suppress(TasksUnavailable):
                assert await tasks.all() == FIRST
                break
            assert time.monotonic() < until
        assert await asyncio.gather(*(tasks.all() for _ in range(12))) == [FIRST] * 12


async def test_a_table_that_another_keeps_locked_fails_until_it_is_free(postgres_url: str) -> None:
    import psycopg

    async with opened(postgres_url, LIMIT) as tasks:
        assert await tasks.all() == FIRST
        with psycopg.connect(postgres_url) as other:
            other.execute("LOCK TABLE quart_app_tasks")
            assert await reason(tasks) == f"no answer within {LIMIT:g} seconds"
        assert await tasks.all() == FIRST


@pytest.mark.parametrize("change", ["?sslmode=disable&", "?sslmode=nonsense&"])
async def test_sslmode_is_obeyed(postgres_url: str, change: str) -> None:
    url = postgres_url.replace("?", change, 1).replace("postgresql://", "postgres://")
    async with opened(url, 5) as tasks:
        if "disable" in change:
            assert await tasks.all() == FIRST
        else:
            assert 'invalid sslmode value: "nonsense"' in await reason(tasks)


async def test_the_password_is_in_no_error_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"postgres://ann:s3cret@127.0.0.1:{unused.getsockname()[1]}/name"
        async with opened(url, LIMIT) as tasks:
            with pytest.raises(TasksUnavailable) as raised:
                await tasks.all()
    told = "".join(traceback.format_exception(raised.value))
    assert raised.value.reason in caplog.text
    assert "s3cret" not in told + repr(raised.value) + caplog.text


async def test_a_wrong_password_is_told_to_the_log_without_it(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    scheme, user = postgres_url.partition("@")[0].split("://")
    url = postgres_url.replace(f"{scheme}://{user}@", f"{scheme}://{user.split(':')[0]}:s3cret@")
    async with opened(url, 5) as tasks:
        assert "password authentication failed" in await reason(tasks)
    assert "password authentication failed" in caplog.text
    assert "s3cret" not in caplog.text


async def test_without_the_extra_postgresql_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    async with opened("postgres://ann:s3cret@localhost/name", 5) as tasks:
        assert await reason(tasks) == (
            "PostgreSQL needs the extra postgres: pip install 'quart-app[postgres]'"
        )
