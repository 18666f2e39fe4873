"""Where does the local stack keep what must survive, and on which ports does it listen?

The standard library only: `bootstrap.py` asks before anything is installed.
"""

import fcntl
import hashlib
import json
import os
import pwd
import random
import socket
import stat
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from deploy.local.problem import Problem

CLONE = Path(__file__).resolve().parents[2]
#: Marks a folder as ours: `clean` removes no other.
MARK = "this-is-akashi-state"

PREFERRED_PORTS: Mapping[str, int] = {
    "intake": 8101,
    "issuer": 8102,
    "registry": 8103,
    "notifier": 8104,
    "witness": 8127,
    "mailbox": 8125,
    "smtp": 8126,
    "postgres": 8132,
    "kafka": 8192,
}
#: Below those that Linux hands out to clients: a passing connection could take one while its server restarts.
_SPARE_PORTS = range(15_000, 32_000)
#: By `free_port`, in this process.
_given: set[int] = set()


def reachable_by_others(path: Path) -> bool:
    """Whether a user other than the owner may walk to this folder."""
    folder = path.resolve()
    while not folder.exists():
        folder = folder.parent
    return all(step.stat().st_mode & stat.S_IXOTH for step in [folder, *folder.parents])


def state_folder(
    environment: Mapping[str, str] = os.environ, *, clone: Path = CLONE, is_root: bool | None = None
) -> Path:
    """The folder of the local stack's state: `AKASHI_STATE`, else `.akashi` in the clone.

    PostgreSQL refuses to run as root and gives its files to `nobody`; below a home that others can't
    enter that would fail, so root's state lies in /var/tmp then.
    """
    if chosen := environment.get("AKASHI_STATE"):
        try:
            return Path(chosen).expanduser().resolve()
        except RuntimeError:
            raise Problem(f"AKASHI_STATE is {chosen}, and nobody has that home: name another folder.") from None
    as_root = os.geteuid() == 0 if is_root is None else is_root
    if as_root and not reachable_by_others(clone):
        return Path("/var/tmp", f"akashi-{hashlib.sha256(str(clone).encode()).hexdigest()[:12]}")  # noqa: S108 - must survive a restart
    return clone / ".akashi"


def open_state(folder: Path) -> Path:
    """Make the folder ours, with the mark in it. Refuses a folder that holds something else."""
    mark = folder / MARK
    try:
        if folder.exists() and not mark.exists() and any(folder.iterdir()):
            raise Problem(f"{folder} holds something that is not Akashi's state: choose another AKASHI_STATE.")
        folder.mkdir(parents=True, exist_ok=True)
        if folder.stat().st_uid != os.geteuid():
            raise Problem(f"{folder} belongs to another user: run as that user or set AKASHI_STATE.")
        # `nobody` walks through it to PostgreSQL's own folder, and sees nothing else.
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
        mark.touch()
    except OSError as error:
        raise Problem(
            f"{folder} can't hold the state ({error.strerror}): set AKASHI_STATE to a folder of yours."
        ) from None
    return folder


def home(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The caller's home, also when HOME is empty; None for a user without one."""
    if named := environment.get("HOME"):
        return Path(named)
    try:
        return Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        return None


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where downloads are kept: `AKASHI_CACHE`, else the user's cache."""
    if chosen := environment.get("AKASHI_CACHE"):
        try:
            return Path(chosen).expanduser().resolve()
        except RuntimeError:
            raise Problem(f"AKASHI_STATE is {chosen}, and nobody has that home: name another folder.") from None
    if shared := environment.get("XDG_CACHE_HOME"):
        return Path(shared) / "akashi"
    own = home(environment)
    if own is not None and os.access(own, os.W_OK):
        return own / ".cache" / "akashi"
    return Path("/var/tmp", f"akashi-cache-{os.geteuid()}")  # noqa: S108 - a user without a writable home


@cache
def _claims() -> int:
    """A byte for each port, which whoever was given it holds locked. Never closed: that would let go of all."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    return os.open(folder / "ports", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _is_ours(port: int) -> bool:
    try:
        fcntl.lockf(_claims(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(preferred: int | None = None, *, taken: Iterable[int] = ()) -> int:
    """A port nobody listens on, or is about to: the preferred one when it can be had.

    As long as this process lives, no other of the same user is given it here.
    """
    spare = [port for port in random.sample(_SPARE_PORTS, 200) if port not in _given]
    avoided = set(taken)
    for port in ([preferred] if preferred else []) + spare:
        if port not in avoided and is_free(port) and _is_ours(port):
            _given.add(port)
            return port
    raise Problem("No free port was found on 127.0.0.1: stop some of the programs that listen there.")


def choose_ports(
    folder: Path, names: Iterable[str] = tuple(PREFERRED_PORTS), *, environment: Mapping[str, str] = os.environ
) -> dict[str, int]:
    """A free port per part, remembered in the state so that addresses stay the same over restarts.

    `AKASHI_PORT_<NAME>` decides where it is set, and is an error where it is taken.
    """
    notes = folder / "ports.json"
    try:
        remembered = json.loads(notes.read_text())
    except (OSError, ValueError):
        remembered = {}
    ports: dict[str, int] = {}
    for name in names:
        variable = f"AKASHI_PORT_{name.upper()}"
        if wanted := environment.get(variable):
            ports[name] = _demanded(variable, wanted, ports)
        else:
            ports[name] = free_port(remembered.get(name, PREFERRED_PORTS[name]), taken=ports.values())
    fresh = notes.with_suffix(".new")
    fresh.write_text(json.dumps(remembered | ports, indent=1) + "\n")
    fresh.replace(notes)
    return ports


def _demanded(variable: str, wanted: str, ports: Mapping[str, int]) -> int:
    if not wanted.isdecimal() or not 0 < int(wanted) < 2**16:
        raise Problem(f'{variable} is "{wanted}", which is no port: set a number from 1 to 65535.')
    port = int(wanted)
    if port in ports.values() or not is_free(port):
        raise Problem(f"Port {port} of {variable} is in use: stop what listens there or choose another.")
    return port
