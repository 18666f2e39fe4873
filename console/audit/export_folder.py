"""The folder of an export: what is in it is whole, and what was there before is what was signed.

A file is written under another name and renamed when it is on the disk. The manifest comes last, and what it replaces
with it: until the manifest has its name, the export before stands.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local.problem import Problem
from transparency.errors import DoesNotVerify
from transparency.export import MANIFEST, MANIFEST_NOTE, File, Manifest, manifest_text
from transparency.notes import Note
from transparency.reading import check_hash, read_manifest, read_small
from transparency.signatures import VerifierKey

#: What a name ends with until the file is whole.
TEMPORARY: Final = ".part"
_CHUNK: Final = 1 << 20
_OF_THE_DISK: Final = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG}

#: Told the bytes that were hashed.
Hashed = Callable[[int], None]


@dataclass(frozen=True)
class Before:
    """The export that the folder holds already."""

    raw: bytes
    manifest: Manifest

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def files(self) -> dict[str, File]:
        return {file.path: file for file in self.manifest.files}


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The folder, made if it is not there, for this process alone."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise Problem(f"{folder} can't be used ({error.strerror}): name a folder for the export.") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Problem(f"Another command works in {folder}: wait until it has ended.") from None
    except OSError as error:
        if error.errno not in _OF_THE_DISK:
            raise
        raise Problem(
            f"{folder} can't be written or read ({os.strerror(error.errno)}): help that, and run it again."
        ) from None
    finally:
        os.close(handle)


def take_up(folder: Path, key: VerifierKey, *, is_ours: Callable[[str], bool], hashed: Hashed) -> Before | None:
    """The export that is there, after a look at every byte of it; None where none was finished.

    What an export that was cut off left unfinished is finished or removed. `Problem` when the folder holds something
    else, or something that is not as it was signed.
    """
    _finish_manifest(folder, key)
    for path in present(folder):
        whole = path.removesuffix(TEMPORARY)
        if whole != path and (whole in {MANIFEST, MANIFEST_NOTE} or is_ours(whole)):
            (folder / path).unlink()
    before = _before(folder, key)
    listed = {} if before is None else before.files
    for path in present(folder):
        if path not in listed and path not in {MANIFEST, MANIFEST_NOTE} and not is_ours(path):
            raise Problem(f"{folder} holds {path}, which is no part of an export: name another folder.")
    for file in listed.values():
        if (folder / file.path).is_symlink() or not (folder / file.path).is_file():
            raise _altered(folder, f"{file.path} is missing.")
        try:
            check_hash(folder, file)
        except DoesNotVerify as error:
            raise _altered(folder, str(error)) from None
        hashed(file.bytes)
    return before


def present(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_symlink() or p.is_file())


def lay_ready(folder: Path, path: str, content: bytes) -> None:
    """Write a small file, if it is not so already: it takes the place of the one before with the manifest."""
    target = folder / path
    if target.is_file() and target.read_bytes() == content:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    written = _aside(target)
    written.write_bytes(content)
    _sync(written)


def settle(target: Path) -> None:
    """Give a file that was written its name. When this returns, it survives a loss of power."""
    written = _aside(target)
    _sync(written)
    written.rename(target)
    _sync(target.parent)


def put_manifest(folder: Path, manifest: bytes, note: bytes) -> None:
    """Replace manifest, note, and what was laid ready. Cut off in between, `take_up` finishes it."""
    for name, content in ((MANIFEST_NOTE, note), (MANIFEST, manifest)):
        written = folder / (name + TEMPORARY)
        written.write_bytes(content)
        _sync(written)
    # From here on the new manifest counts: all that belongs to it lies beside it.
    settle(folder / MANIFEST)
    _settle_laid_ready(folder)


def _settle_laid_ready(folder: Path) -> None:
    for path in present(folder):
        if path.endswith(TEMPORARY) and path != MANIFEST_NOTE + TEMPORARY:
            settle(folder / path.removesuffix(TEMPORARY))
    settle(folder / MANIFEST_NOTE)


def to_be(folder: Path, path: str) -> Path:
    """Where the bytes are that the next manifest lists under this path."""
    ready = _aside(folder / path)
    return ready if ready.exists() else folder / path


def listing(folder: Path, path: str, rows: int | None, *, hashed: Hashed) -> File:
    digest, length = hashlib.sha256(), 0
    with to_be(folder, path).open("rb") as chunks:
        while chunk := chunks.read(_CHUNK):
            digest.update(chunk)
            length += len(chunk)
            hashed(len(chunk))
    return File(path, digest.hexdigest(), length, rows)


def check_note(raw: bytes, manifest: Manifest, note: bytes, key: VerifierKey | None) -> None:
    """Raises `DoesNotVerify` when the note is not about this manifest, or not signed by the key."""
    opened = Note.parse(note)
    if key is not None:
        opened.verified_by((key,))
    if opened.text != manifest_text(raw, manifest.origin):
        raise DoesNotVerify(f"{MANIFEST} is not the one that was signed")


def _before(folder: Path, key: VerifierKey) -> Before | None:
    if not (folder / MANIFEST).exists() and not (folder / MANIFEST_NOTE).exists():
        return None
    try:
        raw, manifest = read_manifest(folder)
        check_note(raw, manifest, read_small(folder / MANIFEST_NOTE, MANIFEST_NOTE), key)
    except DoesNotVerify as error:
        raise Problem(
            f"The export in {folder} is not one that this log signed, so nothing is added to it: {error}."
        ) from None
    return Before(raw, manifest)


def _altered(folder: Path, what: str) -> Problem:
    return Problem(f"The export in {folder} was altered, so nothing is added to it. {what}")


def _finish_manifest(folder: Path, key: VerifierKey) -> None:
    """Where a manifest has its name already and its note has not, they get theirs: the note last."""
    note = folder / (MANIFEST_NOTE + TEMPORARY)
    if not note.exists() or (folder / (MANIFEST + TEMPORARY)).exists():
        return
    try:
        raw, manifest = read_manifest(folder)
        check_note(raw, manifest, note.read_bytes(), key)
    except DoesNotVerify:
        return
    _settle_laid_ready(folder)


def _aside(target: Path) -> Path:
    return target.with_name(target.name + TEMPORARY)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
