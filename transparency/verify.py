"""The auditor's check of an export: everything that can be computed again is computed again.

Step 1: the manifest, and that the folder holds what it lists. Step 2: the checkpoint and its signatures. Step 3: every
leaf in order: its commitment, the rules, the root at each known size. Step 4: the other files' hashes. Step 5: the root
of the whole. Step 6: the manifest's signature. The first thing wrong ends it, as a `Finding`.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from operator import itemgetter
from pathlib import Path
from typing import Final

from transparency.checkpoints import Checkpoint, SignedCheckpoint, Trust, open_checkpoint
from transparency.errors import DoesNotVerify, Finding, found_in, placed
from transparency.export import MANIFEST, MANIFEST_NOTE, Leaf, Manifest, manifest_text
from transparency.merkle import Frontier, leaf_hash
from transparency.notes import Note
from transparency.reading import check_hash, check_listing, lines_of, read_manifest, read_small
from transparency.rules import Rules
from transparency.verified import Verified
from transparency.wanted import Wanted

#: Issuer and registry have clocks of their own.
ALLOWED_SKEW: Final = timedelta(seconds=5)
#: Leaves that are hashed into the tree together.
BATCH: Final = 4096


def verify(
    folders: Sequence[Path],
    trust: Trust,
    *,
    held: Iterable[tuple[str, str]] = (),
    wanted: Wanted | None = None,
    allowed_skew: timedelta = ALLOWED_SKEW,
) -> Verified:
    """Verify an export, or a chain of them, the oldest first. Raises `Finding`.

    `held`: name and text of checkpoints that the auditor kept from before; the log must still contain them.
    """
    _, oldest = read_manifest(folders[0])
    with Rules(complete=oldest.first == 0, allowed_skew=allowed_skew) as rules:
        log = _Log(trust, rules, wanted)
        for name, note in held:
            with found_in(name):
                log.expect(open_checkpoint(note, trust.without_witnesses()).checkpoint, name)
        if wanted is not None and wanted.checkpoint is not None:
            log.expect(wanted.checkpoint, wanted.file)
        before: tuple[bytes, Manifest] | None = None
        for folder in folders:
            before = log.read(folder, before)
        return log.finish()


class _Log:
    """The log as far as it was read."""

    def __init__(self, trust: Trust, rules: Rules, wanted: Wanted | None) -> None:
        self._trust = trust
        self._rules = rules
        self._wanted = wanted
        self._frontier: Frontier | None = None
        self._first = 0
        self._pending: list[bytes] = []
        #: Size → roots that were signed for it, each with the place that says so.
        self._expected: dict[int, list[tuple[bytes, str]]] = {}
        self._consistent: list[int] = []
        self._signed: SignedCheckpoint | None = None

    def expect(self, checkpoint: Checkpoint, place: str) -> None:
        self._expected.setdefault(checkpoint.size, []).append((checkpoint.root, place))

    def read(self, folder: Path, before: tuple[bytes, Manifest] | None) -> tuple[bytes, Manifest]:
        """Verify one export; `before` is the one that precedes it in a chain."""
        # Step 1.
        raw, manifest = read_manifest(folder)
        check_listing(folder, manifest)
        # Step 2.
        self._signed = self._open(manifest)
        self._begin(manifest, before)
        # Step 3.
        for line in self._lines(folder, manifest):
            self._take(*line)
        self._flush()
        # Step 4.
        for file in manifest.files:
            if file.first_leaf is None:
                check_hash(folder, file)
        # Step 5.
        if self._size != manifest.size:
            raise Finding(f"is {manifest.size}, and there are leaves to {self._size}", file=MANIFEST, field="log.size")
        # Step 6.
        with found_in(MANIFEST_NOTE):
            _check_manifest_note(raw, manifest, read_small(folder / MANIFEST_NOTE, MANIFEST_NOTE), self._trust)
        return raw, manifest

    def finish(self) -> Verified:
        assert self._signed is not None
        for size, places in sorted(self._expected.items()):
            where = "begins after" if size < self._first else "ends before"
            raise Finding(f"is of size {size}, and the export {where} that", file=places[0][1])
        if self._wanted is not None:
            self._wanted.check_found()
        return Verified(
            signed=self._signed,
            first=self._first,
            seen=self._rules.seen,
            of_earlier=self._rules.of_earlier,
            consistent_with=tuple(self._consistent),
            found=None if self._wanted is None else self._wanted.sentence,
        )

    @property
    def _size(self) -> int:
        assert self._frontier is not None
        return self._frontier.size + len(self._pending)

    def _open(self, manifest: Manifest) -> SignedCheckpoint:
        with found_in(MANIFEST, field="log.checkpoint"):
            signed = open_checkpoint(manifest.checkpoint, self._trust)
        for field, said, is_so in (
            ("log.origin", manifest.origin, signed.checkpoint.origin),
            ("log.size", manifest.size, signed.checkpoint.size),
        ):
            if said != is_so:
                raise Finding(f"is {said}, and the checkpoint says {is_so}", file=MANIFEST, field=field)
        self.expect(signed.checkpoint, f"{MANIFEST}, field log.checkpoint")
        return signed

    def _begin(self, manifest: Manifest, before: tuple[bytes, Manifest] | None) -> None:
        """Take up the tree where this export does; what it says of its beginning must be signed, too."""
        previous = manifest.previous
        if previous is not None:
            with found_in(MANIFEST, field="previous.checkpoint"):
                signed = open_checkpoint(previous.checkpoint, self._trust.without_witnesses()).checkpoint
            if signed.size > manifest.size or manifest.first not in {0, signed.size}:
                raise Finding(f"is of size {signed.size}", file=MANIFEST, field="previous.checkpoint")
            self.expect(signed, f"{MANIFEST}, field previous.checkpoint")
        if before is not None and (
            previous is None
            or previous.manifest_sha256 != hashlib.sha256(before[0]).hexdigest()
            or manifest.first != before[1].size
        ):
            raise Finding("does not go on from the export before it", file=MANIFEST, field="previous")
        if self._frontier is None:
            begin = previous.frontier if previous is not None and manifest.first else None
            self._frontier = begin or Frontier()
            self._first = self._frontier.size
        self._check_root()

    def _lines(self, folder: Path, manifest: Manifest) -> Iterator[tuple[str, int, bytes]]:
        leaf_files = [(first, file) for file in manifest.files if (first := file.first_leaf) is not None]
        for first, file in sorted(leaf_files, key=itemgetter(0)):
            if first != self._size:
                raise Finding(f"begins with leaf {first}, and leaf {self._size} comes next", file=file.path)
            for number, line in lines_of(folder, file):
                yield file.path, number, line

    def _take(self, file: str, number: int, line: bytes) -> None:
        index = self._size
        try:
            leaf = Leaf.parse(line)
        except DoesNotVerify as error:
            raise placed(error, file=file, line=number, index=index) from error
        if leaf.index != index:
            what = "a leaf is missing before it" if leaf.index > index else "this leaf was there before"
            raise Finding(f"is {leaf.index}, so {what}", file=file, line=number, index=index, field="index")
        try:
            self._rules.see(index, leaf.document)
        except DoesNotVerify as error:
            raise placed(error, file=file, line=number, index=index, field="document") from error
        if self._wanted is not None:
            self._wanted.see(leaf)
        self._pending.append(leaf_hash(leaf.commitment))
        if len(self._pending) == BATCH or index + 1 in self._expected:
            self._flush()

    def _flush(self) -> None:
        assert self._frontier is not None
        self._frontier, _ = self._frontier.extend(self._pending)
        self._pending.clear()
        self._check_root()

    def _check_root(self) -> None:
        assert self._frontier is not None
        size, root = self._frontier.size, self._frontier.root()
        for signed, place in self._expected.pop(size, ()):
            if signed != root:
                what = f"the first {size} leaves have the root {root.hex()}, and {signed.hex()} was signed"
                raise Finding(what, file=place)
            self._consistent.append(size)


def _check_manifest_note(raw: bytes, manifest: Manifest, note: bytes, trust: Trust) -> None:
    opened = Note.parse(note)
    opened.verified_by(trust.log_keys)
    if opened.text != manifest_text(raw, manifest.origin):
        raise DoesNotVerify(f"{MANIFEST} is not the one that was signed")
