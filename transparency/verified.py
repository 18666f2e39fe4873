"""What was verified, as one sentence."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

from transparency import leaves
from transparency.checkpoints import SignedCheckpoint


@dataclass(frozen=True)
class Verified:
    """An export in which nothing was found wrong."""

    signed: SignedCheckpoint
    #: The first leaf that was read.
    first: int
    #: Leaves by the type of their document; `None` counts the erased.
    seen: Counter[str | None]
    #: Registrations and views whose certificate is before `first`, so that only their commitments were verified.
    of_earlier: int
    #: Sizes at which the root was compared with a signed one.
    consistent_with: tuple[int, ...]
    #: Where the certificate is that was asked for.
    found: str | None = None

    @property
    def leaves(self) -> int:
        return self.seen.total()

    def __str__(self) -> str:
        counts = [f"{self.seen[kind]} {kind}s" for kind in (leaves.CERTIFICATE, leaves.REGISTRATION, leaves.VIEW)]
        known = {leaves.CERTIFICATE, leaves.REGISTRATION, leaves.VIEW, None}
        others = sum(count for kind, count in self.seen.items() if kind not in known)
        counts += [f"{others} of a type not known here"] if others else []
        counts += [f"{self.seen[None]} erased"] if self.seen[None] else []
        checkpoint = self.signed.checkpoint
        parts = [
            f"Verified {self.leaves} leaves ({', '.join(counts)}) of {checkpoint.origin}",
            f"size {checkpoint.size}, root {checkpoint.root.hex()}",
            f"signed {_utc(self.signed.signed_at)}",
        ]
        parts += [f"seen by {name} {_utc(at)}" for name, at in self.signed.witnessed.items()]
        earlier = sorted(set(self.consistent_with) - {checkpoint.size})
        if earlier:
            parts.append(f"consistent with the checkpoints of size {', '.join(map(str, earlier))}")
        if self.first:
            parts.append(f"from leaf {self.first} on, {self.of_earlier} leaves being about earlier certificates")
        if self.found:
            parts.append(self.found)
        return "; ".join(parts) + "."


def _utc(at: int | None) -> str:
    return (
        "at a time that it does not say"
        if at is None
        else f"at {datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
    )
