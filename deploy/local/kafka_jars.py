"""Which jars are Kafka, and are the ones on this machine the right ones?

`kafka-jars.lock` names every jar with its sha256 and size. They are fetched from Maven Central once, verified, and
kept in the user's cache; later starts compare size and time with what was verified and never need the network.
"""

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.problem import Problem
from deploy.local.state import cache_folder

KAFKA_VERSION = "4.3.1"
#: Resolved one by one: resolved together, the version table of one would rule the jars of the other.
ROOTS = (f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4")
LOCK = Path(__file__).with_name("kafka-jars.lock")

_ATTEMPTS = 3
_AT_ONCE = 4
_TIMEOUT_SECONDS = 30

#: Called with the bytes that are here and the bytes there will be.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Jar:
    """One line of the lock."""

    group: str
    artifact: str
    version: str
    sha256: str
    size_bytes: int

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def parse_lock(text: str) -> tuple[Jar, ...]:
    """The jars of a lock: `group:artifact:version sha256 bytes` per line, `#` for a comment."""
    jars = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        try:
            coordinates, sha256, size_bytes = line.split()
            group, artifact, version = coordinates.split(":")
            jars.append(Jar(group, artifact, version, bytes.fromhex(sha256).hex(), int(size_bytes)))
        except ValueError:
            raise Problem(f'kafka-jars.lock has a line that names no jar ("{line}"): restore the file.') from None
    return tuple(jars)


def locked() -> tuple[Jar, ...]:
    return parse_lock(LOCK.read_text())


def ensure_jars(progress: Progress | None = None, *, cache: Path | None = None) -> list[Path]:
    """Every locked jar, on this disk and verified, in the lock's order. Safe to run concurrently."""
    return kept(locked(), (cache or cache_folder()) / f"kafka-{KAFKA_VERSION}", progress)


def kept(jars: Sequence[Jar], folder: Path, progress: Progress | None = None) -> list[Path]:
    """Every one of these jars in that folder, fetched where it is missing, and verified. Safe to run concurrently."""
    paths = [folder / jar.file_name for jar in jars]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            missing = [jar for jar in jars if not (folder / jar.file_name).exists()]
            if missing:
                _fetch(missing, folder, progress)
            _verify(jars, folder)
    except OSError as error:
        raise Problem(f"Jars can't be kept in {folder} ({error.strerror}): set AKASHI_CACHE.") from None
    return paths


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verify(jars: Sequence[Jar], folder: Path) -> None:
    stamp = folder / "verified.json"
    try:
        verified = json.loads(stamp.read_text())
    except (OSError, ValueError):
        verified = {}
    seen = {}
    for jar in jars:
        path = folder / jar.file_name
        status = path.stat()
        seen[jar.file_name] = [jar.sha256, status.st_size, status.st_mtime_ns]
        if verified.get(jar.file_name) != seen[jar.file_name] and _sha256(path) != jar.sha256:
            raise Problem(f"{path} is not the file that kafka-jars.lock promises: delete it and start again.")
    if seen != verified:
        fresh = stamp.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps(seen, indent=1))
        fresh.replace(stamp)


def _fetch(jars: Sequence[Jar], folder: Path, progress: Progress | None) -> None:
    total = sum(jar.size_bytes for jar in jars)
    done = 0
    lock = threading.Lock()

    def count(_name: str, _size: int) -> contextlib.AbstractContextManager[Callable[[int], None]]:
        return contextlib.nullcontext(add)

    def add(chunk_bytes: int) -> None:
        nonlocal done
        with lock:
            done = min(done + chunk_bytes, total)
            if progress:
                progress(done, total)

    with tempfile.TemporaryDirectory(dir=folder) as scratch, ThreadPoolExecutor(_AT_ONCE) as workers:
        waiting = [workers.submit(_fetch_one, jar, folder, Path(scratch), count) for jar in jars]
        try:
            for each in waiting:
                each.result()
        except BaseException:
            workers.shutdown(cancel_futures=True)
            raise


def _fetch_one(jar: Jar, folder: Path, scratch: Path, count: Any) -> None:
    """Put one verified jar in the folder, complete or not at all."""
    # Here, because a start that fetches nothing should not pay for the import.
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415
    from requests import RequestException  # noqa: PLC0415

    logging.getLogger("jgo").setLevel(logging.ERROR)
    for attempt in range(1, _ATTEMPTS + 1):
        central = MavenContext(
            PythonResolver(progress_callback=count), repo_cache=scratch / str(attempt), timeout=_TIMEOUT_SECONDS
        )
        try:
            fetched = central.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
            break
        except (RequestException, RuntimeError) as error:
            if attempt == _ATTEMPTS:
                raise Problem(
                    f"{jar.file_name} could not be fetched from Maven Central ({type(error).__name__}): "
                    "check the network or HTTPS_PROXY, then run the same command again."
                ) from error
    if _sha256(fetched) != jar.sha256:
        raise Problem(f"Maven Central sent a {jar.file_name} other than kafka-jars.lock promises: do not use it.")
    fetched.replace(folder / jar.file_name)


def write_lock() -> None:
    """Resolve Kafka and its logger again and write the lock anew."""
    import jgo  # noqa: PLC0415 - only a maintainer's command needs it

    found: dict[str, Any] = {}
    for root in ROOTS:
        for artifact in jgo.resolve(root):
            other = found.setdefault(f"{artifact.groupId}:{artifact.artifactId}", artifact)
            if other.version != artifact.version:
                raise Problem(f"{artifact.artifactId} is wanted as {other.version} and {artifact.version}: choose one.")
    lines = [
        "# The jars of the local broker: coordinates, sha256, bytes. Written by `python -m deploy.local.kafka lock`."
    ]
    for name in sorted(found):
        path = found[name].resolve()
        lines.append(f"{name}:{found[name].version} {_sha256(path)} {path.stat().st_size}")
    LOCK.write_text("\n".join(lines) + "\n")
