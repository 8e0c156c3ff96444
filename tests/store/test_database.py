"""One database under one writer: what is promised when files lock, fill, vanish or cannot be written."""

import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from billcore.errors import Refused, StoreError
from billcore.store import schema
from billcore.store.database import Database, JoinedDatabase
from billcore.store.sqlite import file_of, sqlite_engine

INSERT = "INSERT INTO billcore_meta (key, value) VALUES (?, ?)"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "billing.db"


@pytest.fixture
def database(path):
    database = Database(f"sqlite:///{path}")
    schema.create(database)
    yield database
    database.close()


def impatient(path, seconds=0):
    """A second process's view of the file, that waits so many seconds for others."""
    url = f"sqlite:///{path}"
    return Database(url, engine=sqlite_engine(url, busy_timeout_s=seconds))


def write(database, key="k"):
    with database.transaction() as transaction:
        transaction.execute(INSERT, (key, "v"))


def keys(database):
    with database.transaction(reads=True) as transaction:
        return [key for (key,) in transaction.rows("SELECT key FROM billcore_meta ORDER BY key")]


def refused(code, run, *arguments):
    with pytest.raises(StoreError) as error:
        run(*arguments)
    assert error.value.code == code, error.value
    assert error.value.remedy
    return error.value


# Connections


def test_every_connection_is_durable_and_checks_foreign_keys(path):
    """Acknowledged is durable (P4): FULL survives power loss, NORMAL may lose the last commits (F13)."""
    engine = sqlite_engine(f"sqlite:///{path}")
    with engine.connect() as first, engine.connect() as second:
        for connection in (first, second):
            pragmas = {
                name: connection.connection.driver_connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("journal_mode", "synchronous", "foreign_keys")
            }
            assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    engine.dispose()


def test_a_transaction_holds_the_write_lock_from_its_start(database, path):
    """BEGIN IMMEDIATE: what was read in it cannot change before it writes."""
    other = impatient(path)
    with database.transaction():
        refused("database_locked", write, other)
    write(other)
    other.close()


def test_reading_does_not_wait_for_the_writer(database, path):
    other = impatient(path)
    with database.transaction() as transaction:
        transaction.execute(INSERT, ("unfinished", "v"))
        assert keys(other) == []
    assert keys(other) == ["unfinished"]
    other.close()


def test_opening_does_not_wait_for_the_writer(database, path):
    with database.transaction():
        other = impatient(path)
        assert schema.check(other).status == "current"
        other.close()


def test_after_reading_the_same_store_writes_again(database):
    """The kind of transaction is chosen each time, for migrations on the bare connection too."""
    assert keys(database) == []
    write(database)
    assert keys(database) == ["k"]


def test_an_error_rolls_everything_back(database):
    def half():
        with database.transaction() as transaction:
            transaction.execute(INSERT, ("half", "v"))
            raise KeyError

    with pytest.raises(KeyError):
        half()
    assert keys(database) == []
    write(database)


def test_ctrl_c_rolls_back_too(database):
    def interrupted():
        with database.transaction() as transaction:
            transaction.execute(INSERT, ("half", "v"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert keys(database) == []
    write(database)


def test_a_wrong_statement_is_not_excused_as_a_broken_database(database):
    with (
        pytest.raises(sqlite3.OperationalError, match="no such column"),
        database.transaction() as transaction,
    ):
        transaction.execute("UPDATE billcore_meta SET nonsense = 1")
    with pytest.raises(sqlite3.IntegrityError):
        write(database) or write(database)
    assert keys(database) == ["k"]


def test_a_closed_database_opens_again(database):
    write(database)
    database.close()
    database.close()
    assert keys(database) == ["k"]


def test_a_database_in_memory_is_one_for_all_threads():
    database = Database("sqlite://")
    schema.create(database)
    threads = [threading.Thread(target=write, args=(database, f"k{n}")) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert keys(database) == [f"k{n}" for n in range(8)]
    database.close()


# Several writers

COUNT = """
import sys
from billcore.store.database import Database
database = Database("sqlite:///" + sys.argv[1])
for _ in range(25):
    with database.transaction() as transaction:
        (last,) = transaction.one("SELECT last FROM billcore_counters WHERE series = 'INV'")
        transaction.execute("UPDATE billcore_counters SET last = ? WHERE series = 'INV'", (last + 1,))
database.close()
"""


def test_processes_that_read_and_write_lose_no_update(database, path):
    """Read, then write what was read plus one: only a lock taken at the start makes this safe."""
    with database.transaction() as transaction:
        transaction.execute("INSERT INTO billcore_counters (series, last) VALUES ('INV', 0)")
    runs = [subprocess.Popen([sys.executable, "-c", COUNT, str(path)]) for _ in range(3)]
    assert [run.wait(timeout=60) for run in runs] == [0, 0, 0]
    with database.transaction(reads=True) as transaction:
        assert transaction.one("SELECT last FROM billcore_counters") == (75,)


def test_threads_on_stores_of_their_own_lose_no_update(database, path):
    def work(number):
        other = impatient(path, 30)
        for step in range(10):
            write(other, f"{number}-{step}")
        other.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys(database)) == 40


HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


def test_another_process_that_holds_the_lock_is_named_after_the_wait(database, path):
    """Waits as long as it may, then says what to do; goes on once the other has ended (F11)."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        other = impatient(path, 1)
        began = time.monotonic()
        error = refused("database_locked", write, other)
        assert time.monotonic() - began > 0.9
        assert "process" in error.remedy
        holder.kill()
    write(other)
    other.close()


@pytest.mark.parametrize("lock", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_a_file_in_another_journal_mode_is_waited_for(path, lock):
    """A file that another program made and is writing: SQLite itself gives up at once."""
    held = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    held.execute("CREATE TABLE theirs (id TEXT)")
    held.execute(lock)
    refused("database_locked", schema.check, impatient(path))
    release = threading.Timer(0.3, held.execute, ("COMMIT",))
    release.start()
    patient = impatient(path, 10)
    assert schema.check(patient).status == "missing"
    release.join()
    patient.close()
    held.close()


# Files that are not as they should be


@pytest.mark.parametrize("after", ["removed", "replaced"])
def test_a_file_that_is_no_longer_the_one_that_was_opened_stops_the_work(database, path, after):
    """SQLite would go on writing into the deleted file, successfully (F12)."""
    write(database)
    path.rename(path.with_suffix(".old"))
    if after == "replaced":
        other = Database(f"sqlite:///{path}")
        schema.create(other)
        other.close()
    for _ in range(2):
        refused("database_replaced", write, database)
        refused("database_replaced", keys, database)
    database.close()


def test_after_closing_the_new_file_is_the_store(database, path):
    write(database)
    path.rename(path.with_suffix(".old"))
    refused("database_replaced", write, database)
    database.close()
    schema.create(database)
    assert keys(database) == []


def test_changing_the_directory_is_no_replacement(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    database = Database("sqlite:///billing.db")
    schema.create(database)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    write(database)
    assert keys(database) == ["k"]
    database.close()


def test_a_store_that_could_not_be_opened_is_not_taken_for_a_replaced_one(path):
    path.write_bytes(b"")
    held = sqlite3.connect(path, isolation_level=None)
    held.execute("BEGIN EXCLUSIVE")
    database = impatient(path)
    refused("database_locked", schema.check, database)
    held.close()
    schema.create(database)
    database.close()


def test_a_read_only_file_can_be_read_and_not_written(database, path):
    """Opened with mode=ro, since root may write files of any mode."""
    write(database)
    url = f"sqlite:///file:{path}?mode=ro&uri=true"
    reader = Database(url)
    assert reader.path == str(path)
    assert keys(reader) == ["k"]
    schema.require(reader)
    error = refused("database_read_only", write, reader)
    assert "write access" in error.remedy
    reader.close()


def test_a_file_on_a_read_only_disk_says_so(path):
    """Nothing can be created beside it, not even the write-ahead log."""
    with sqlite3.connect(path) as plain:
        plain.execute("CREATE TABLE theirs (id TEXT)")
    plain.close()
    refused("database_read_only", schema.create, Database(f"sqlite:///file:{path}?immutable=1&uri=true"))


@pytest.mark.parametrize("content", [b"name,email\n" * 200, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_no_database_is_refused_and_left_alone(path, content):
    path.write_bytes(content)
    refused("database_unreachable", schema.check, Database(f"sqlite:///{path}"))
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////no/such/folder/billing.db",
        "billing.db",
        "mysql://host/billing",
    ],
)
def test_an_address_that_leads_nowhere_is_refused_with_an_example(url):
    refused("database_unreachable", lambda: schema.check(Database(url)))


def test_a_store_without_tables_says_how_to_make_them(path):
    refused("schema_missing", write, Database(f"sqlite:///{path}"))


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("sqlite:///file:x?mode=memory&cache=shared&uri=true", None),
        ("sqlite:////data/billing.db", "/data/billing.db"),
        ("sqlite:///file:/data/my%20store.db?mode=ro&uri=true", "/data/my store.db"),
        ("sqlite:///billing.db", str(Path.cwd() / "billing.db")),
    ],
)  # fmt: skip
def test_the_file_behind_an_address(url, file):
    assert file_of(url) == file


# Disk full


def fill(database):
    for number in range(10_000):
        with database.transaction() as transaction:
            transaction.execute(INSERT, (f"{number:05}", "x" * 4000))


def whole(path):
    with sqlite3.connect(path) as connection:
        (answer,) = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()
    return answer


def test_a_file_that_may_not_grow_refuses_and_keeps_what_was_acknowledged(database, path):
    with database.raw() as connection, connection.begin():
        connection.exec_driver_sql("PRAGMA max_page_count = 200")
    error = refused("database_full", fill, database)
    assert "space" in error.remedy
    before = keys(database)
    assert before == [f"{number:05}" for number in range(len(before))]
    with database.raw() as connection, connection.begin():
        connection.exec_driver_sql("PRAGMA max_page_count = 100000")
    write(database)
    assert len(keys(database)) == len(before) + 1
    database.close()
    assert whole(path) == "ok"


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 2 MB, where this machine lets us make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if made.returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_refuses_and_the_work_goes_on_once_there_is_room(small_disk):
    """Clean error, integrity kept, everything acknowledged is there, resumable (F10)."""
    path = small_disk / "billing.db"
    (small_disk / "ballast").write_bytes(b"0" * 500_000)
    database = Database(f"sqlite:///{path}")
    schema.create(database)
    refused("database_full", fill, database)
    before = keys(database)
    assert before == [f"{number:05}" for number in range(len(before))]
    (small_disk / "ballast").unlink()
    write(database)
    assert keys(database) == [*before, "k"]
    database.close()
    assert whole(path) == "ok"


# The host's own transaction


def test_a_joined_command_commits_with_the_hosts_rows(path):
    engine = sqlite_engine(f"sqlite:///{path}")
    own = Database(f"sqlite:///{path}")
    schema.create(own)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE orders (id TEXT)")
        joined = JoinedDatabase(connection)
        write(joined)
        joined.close()
        connection.exec_driver_sql("INSERT INTO orders VALUES ('o1')")
    assert keys(own) == ["k"]
    own.close()
    engine.dispose()


def test_a_joined_command_is_rolled_back_with_the_hosts_rows(path):
    engine = sqlite_engine(f"sqlite:///{path}")
    own = Database(f"sqlite:///{path}")
    schema.create(own)
    with engine.connect() as connection, connection.begin() as transaction:
        write(JoinedDatabase(connection))
        transaction.rollback()
    assert keys(own) == []
    own.close()
    engine.dispose()


def test_joining_wants_an_open_transaction(path):
    engine = sqlite_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        with pytest.raises(Refused, match="No transaction is open") as error:
            JoinedDatabase(connection)
        assert error.value.code == "join_refused"
        assert "sqlite_engine" in error.value.remedy
    engine.dispose()


def test_joining_refuses_a_transaction_that_the_driver_begins_late(path):
    """SQLAlchemy's default engine: `begin()` has sent nothing yet, so nothing is held."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        with pytest.raises(Refused, match="begins its transaction late") as error:
            JoinedDatabase(connection)
        assert error.value.code == "join_refused"
    engine.dispose()


def test_a_joined_store_ends_with_the_hosts_transaction(path):
    engine = sqlite_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        joined = JoinedDatabase(connection)
    with pytest.raises(Refused), joined.transaction():
        pass
    engine.dispose()
