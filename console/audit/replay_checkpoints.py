"""Is what the registry signed what the replay made, and did the log's own key sign it?"""

import base64
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from console.audit.fold import Difference
from console.environment import Stack
from console.store import Connection, Record
from deploy.local.problem import Problem
from transparency.checkpoints import Checkpoint
from transparency.errors import DoesNotVerify, Malformed
from transparency.notes import Note, Signature
from transparency.signatures import ED25519, VerifierKey

#: Seconds, since PostgreSQL knows later years than Python. $1 from which size on
SELECT_CHECKPOINTS: Final = """
SELECT size, note, signed_at::text AS signed_at,
    CASE WHEN isfinite(signed_at) THEN floor(extract(epoch FROM signed_at))::bigint END AS second
FROM checkpoint WHERE size >= $1 ORDER BY size
"""
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
    """Checkpoints beside a log of `size` leaves, where the registry has `live_size`; roots from `first` leaves on."""

    def __init__(
        self, rows: list[Record], size: int, live_size: int, keys: tuple[VerifierKey, ...], first: int = 0
    ) -> None:
        self._own = [key for key in keys if key.kind == ED25519]
        self._clocks = [key.as_cosigner() for key in self._own]
        self._keys = {*keys, *self._clocks}
        #: Size → rows whose notes the log signed for it, with their roots.
        self._roots: defaultdict[int, list[tuple[int, bytes]]] = defaultdict(list)
        #: What somebody did to a row beside what the log signed.
        self.altered: list[Difference] = []
        #: What the log signed, and is not so: whoever has a copy can prove it. Or nobody can say what it signed there.
        self.contradicted: list[Difference] = []
        #: Roots that are so, and sizes that are later than the shadow.
        self.compared = self.newer = 0
        for row in rows:
            checkpoint = self._read(row)
            if checkpoint is None or checkpoint.size < first:
                continue
            if checkpoint.size <= size:
                self._roots[checkpoint.size].append((row["size"], checkpoint.root))
            elif checkpoint.size <= live_size:
                self.newer += 1
            else:
                words = f"the registry has {live_size} leaves, and signed more"
                self.contradicted.append(_found("_is_beyond_the_log", row["size"], words))
        self.sizes = iter(sorted(self._roots))

    def see(self, size: int, root: bytes) -> None:
        """The log's root at one of `sizes`."""
        for row, signed in self._roots[size]:
            if signed == root:
                self.compared += 1
            else:
                there, ours = (base64.b64encode(one).decode() for one in (signed, root))
                words = f"the root signed is {there}, the replay's {ours}"
                self.contradicted.append(_found(".root_differs", row, words))

    def _read(self, row: Record) -> Checkpoint | None:
        """What the log signed; None where that cannot be said."""
        try:
            note = Note.parse(row["note"])
            note.verified_by(self._own)
            checkpoint = Checkpoint.parse(note.text)
        except DoesNotVerify as error:
            self.contradicted.append(_found(".note_differs", row["size"], str(error)))
            return None
        if checkpoint.size != row["size"]:
            self.altered.append(_found(".size_differs", row["size"], f"its note is of {checkpoint.size} leaves"))
        self.altered += [_found(what, row["size"], words) for what, words in self._altered(row, note)]
        return checkpoint

    def _altered(self, row: Record, note: Note) -> list[tuple[str, str]]:
        """What is wrong with a note that the log signed: in a cosignature, or in the row's time."""
        try:
            signed = note.verified_by(self._keys)
        except DoesNotVerify as error:
            return [(".note_differs", str(error))]
        found = []
        at = max((signed[key] or 0 for key in self._clocks if key in signed), default=None)
        if at is None:
            found.append((".note_differs", "the log's signature with its time is gone"))
        elif row["second"] != at:
            words = f"signed_at is {row['signed_at']}, and the log signed at {datetime.fromtimestamp(at, tz=UTC)}"
            found.append((".signed_at_differs", words))
        known = {(key.name, key.id) for key in self._keys}
        strangers = [one for one in note.signatures if (one.name, one.key_id) not in known]
        return found + [
            (".note_differs", f"a signature of {key.name} bears another name or key")
            for one in strangers
            if (key := self._whose(note, one))
        ]

    def _whose(self, note: Note, signature: Signature) -> VerifierKey | None:
        """Who of those we know made a signature that bears a name that we don't; others may cosign, too."""
        for key in self._keys:
            named = replace(note, signatures=(replace(signature, name=key.name, key_id=key.id),))
            try:
                named.verified_by([key])
            except DoesNotVerify:
                continue
            return key
        return None


def _found(what: str, size: int, words: str) -> Difference:
    return Difference(f"checkpoint{what}", f"checkpoint {size}", words)
