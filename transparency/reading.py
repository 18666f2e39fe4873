"""Reading the files of an export: only those inside it, all of them, and each to its last byte."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from transparency.errors import Finding, found_in
from transparency.export import MANIFEST, MANIFEST_NOTE, File, Manifest

#: A line of a leaf file is far shorter; nobody's memory is filled by one without end.
LONGEST_LINE: Final = 1 << 20
#: A manifest lists files, not leaves.
LONGEST_MANIFEST: Final = 1 << 26
_CHUNK: Final = 1 << 20


def read_manifest(folder: Path) -> tuple[bytes, Manifest]:
    raw = read_small(folder / MANIFEST, MANIFEST, LONGEST_MANIFEST)
    with found_in(MANIFEST):
        return raw, Manifest.parse(raw)


def read_small(path: Path, name: str, longest: int = LONGEST_LINE) -> bytes:
    if path.is_symlink() or not path.is_file():
        raise Finding("there is no such file", file=name)
    with path.open("rb") as file:
        raw = file.read(longest + 1)
    if len(raw) > longest:
        raise Finding(f"the file has more than {longest} bytes", file=name)
    return raw


def check_listing(folder: Path, manifest: Manifest) -> None:
    """The folder holds the files that the manifest lists, each listed once, and no others."""
    listed: set[str] = set()
    for number, file in enumerate(manifest.files):
        if file.path in listed:
            raise Finding(f"{file.path} is listed twice", file=MANIFEST, field=f"files[{number}].path")
        listed.add(file.path)
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or path.is_file()}
    for path in sorted(listed - present):
        raise Finding("the manifest lists this file, and it is not there", file=path)
    for path in sorted(present - listed - {MANIFEST, MANIFEST_NOTE}):
        raise Finding("the manifest does not list this file", file=path)
    for path in sorted(listed):
        if (folder / path).is_symlink():
            raise Finding("this is a link, not a file of the export", file=path)


def lines_of(folder: Path, file: File) -> Iterator[tuple[int, bytes]]:
    """Number and line, without its newline; raises when the file ends and was not the one of the manifest.

    What a line says is to be judged before the next is asked for, so that the finding names the line.
    """
    digest, length, number = hashlib.sha256(), 0, 0
    with (folder / file.path).open("rb") as lines:
        while line := lines.readline(LONGEST_LINE):
            number += 1
            digest.update(line)
            length += len(line)
            if not line.endswith(b"\n"):
                raise Finding("the line is cut off", file=file.path, line=number)
            yield number, line[:-1]
    if number != file.rows:
        raise Finding(f"the manifest says {file.rows} rows, the file has {number} lines", file=file.path)
    _check(file, length, digest.hexdigest())


def check_hash(folder: Path, file: File) -> None:
    digest, length = hashlib.sha256(), 0
    with (folder / file.path).open("rb") as chunks:
        while chunk := chunks.read(_CHUNK):
            digest.update(chunk)
            length += len(chunk)
    _check(file, length, digest.hexdigest())


def _check(file: File, length: int, sha256: str) -> None:
    if length != file.bytes:
        raise Finding(f"the manifest says {file.bytes} bytes, the file has {length}", file=file.path)
    if sha256 != file.sha256:
        raise Finding(f"the manifest says SHA-256 {file.sha256}, the file has {sha256}", file=file.path)
