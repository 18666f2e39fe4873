"""Is what the registry signed what the replay made, and did the log's own key sign it?"""

import base64
from datetime import UTC, datetime
from typing import Any, Final

from console.audit.fold import Difference
from console.environment import Stack
from console.store import Connection, Record
from deploy.local.problem import Problem
from transparency.checkpoints import Checkpoint, Trust, open_checkpoint
from transparency.errors import DoesNotVerify, Malformed
from transparency.notes import Note
from transparency.signatures import ED25519, VerifierKey

#: $1 from which size on
SELECT_CHECKPOINTS: Final = "SELECT size, note, signed_at FROM checkpoint WHERE size >= $1 ORDER BY size"
#: The public keys of the log and its witnesses, among the registry's secrets; those that were replaced stay there.
KEYS: Final = "registry/*verifier_key"


def public_keys_of(stack: Stack) -> tuple[VerifierKey, ...]:
    """Whose signatures a checkpoint may bear. Raises `Problem` without a key of the log."""
    keys = []
    for path in sorted(stack.secrets_dir.glob(KEYS)):
        name = path.relative_to(stack.secrets_dir).as_posix()
        try:
            keys.append(VerifierKey.parse(stack.secret(name)))
        except Malformed as error:
            raise Problem(f"The secret {name} is no verifier key: {error}.") from None
    if not any(key.kind == ED25519 for key in keys):
        raise Problem(f"No public key of the log at {stack.secrets_dir / KEYS}: `akashi secrets make` makes it.")
    return tuple(keys)


async def signed_from(live: Connection, first: int) -> list[Record]:
    """Every checkpoint of `first` leaves or more."""
    return await live.fetch(SELECT_CHECKPOINTS, first)


class Signed:
    """Checkpoints beside a log of `size` leaves, where the registry has `live_size`."""

    def __init__(self, rows: list[Record], size: int, live_size: int, keys: tuple[VerifierKey, ...]) -> None:
        self._keys = keys
        self._roots: dict[int, bytes] = {}
        #: What somebody did to a row; the log did not sign this.
        self.altered: list[Difference] = []
        #: What the log signed, and is not so: whoever has a copy can prove it.
        self.contradicted: list[Difference] = []
        self._forged: set[int] = set()
        self.compared = self.newer = 0
        for row in rows:
            checkpoint = self._read(row)
            if checkpoint is None:
                continue
            if checkpoint.size <= size:
                self._roots[checkpoint.size] = checkpoint.root
            elif checkpoint.size <= live_size:
                self.newer += 1
            else:
                words = f"the registry has {live_size} leaves, and signed more"
                self._blame(checkpoint.size).append(_found("_is_beyond_the_log", row, words))
        self.sizes = iter(sorted(self._roots))

    def see(self, size: int, root: bytes) -> None:
        """The log's root at one of `sizes`."""
        self.compared += 1
        if self._roots[size] != root:
            signed, ours = (base64.b64encode(one).decode() for one in (self._roots[size], root))
            words = f"the root signed is {signed}, the replay's {ours}"
            self._blame(size).append(_found(".root_differs", {"size": size}, words))

    def _blame(self, size: int) -> list[Difference]:
        return self.altered if size in self._forged else self.contradicted

    def _read(self, row: Record) -> Checkpoint | None:
        """What the row says, believed or not; None where it says nothing."""
        try:
            note = Note.parse(row["note"])
            checkpoint = Checkpoint.parse(note.text)
        except DoesNotVerify as error:
            self.altered.append(_found(".note_differs", row, str(error)))
            return None
        if checkpoint.size != row["size"]:
            self.altered.append(_found(".size_differs", row, f"its note is of {checkpoint.size} leaves"))
            return None
        try:
            self._check_signatures(row, note, checkpoint.origin)
        except DoesNotVerify as error:
            self.altered.append(_found(".note_differs", row, str(error)))
            self._forged.add(checkpoint.size)
        return checkpoint

    def _check_signatures(self, row: Record, note: Note, origin: str) -> None:
        own = tuple(key for key in self._keys if key.kind == ED25519)
        witnesses = tuple(key for key in self._keys if key.kind != ED25519)
        signed = open_checkpoint(row["note"], Trust(origin, own, witnesses))
        known = {(key.name, key.id) for one in self._keys for key in (one, one.as_cosigner())}
        for signature in note.signatures:
            if (signature.name, signature.key_id) not in known:
                words = f"a signature of {signature.name}, whose key is not among the registry's secrets"
                self.altered.append(_found(".note_differs", row, words))
        at = row["signed_at"]
        if signed.signed_at is not None and (not isinstance(at, datetime) or int(at.timestamp()) != signed.signed_at):
            words = f"signed_at is {at}, and the log signed at {datetime.fromtimestamp(signed.signed_at, tz=UTC)}"
            self.altered.append(_found(".signed_at_differs", row, words))


def _found(what: str, row: Any, words: str) -> Difference:
    return Difference(f"checkpoint{what}", f"checkpoint {row['size']}", words)
