"""Is the registry, row for row and column for column, what the event log says? Pure: rows in, differences out."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Protocol
from uuid import UUID

from console.audit.fold import Difference, Fold, Row, differing


class Held(Protocol):
    """A row of the registry's `certificate`, by column."""

    def __getitem__(self, column: str, /) -> Any: ...


#: The columns of `certificate` that an event fixes, with `content` compared by its hash.
COLUMNS: Final = Row._fields


class Comparison:
    """Takes the registry's rows one by one; `rest` tells which never came."""

    def __init__(self, fold: Fold) -> None:
        self._fold = fold
        self._unseen = set(fold.certificates)
        self.rows = 0

    def take(self, held: Held) -> Iterator[Difference]:
        """Compare one row of the registry with the log."""
        self.rows += 1
        identity: UUID = held["certificate_id"]
        self._unseen.discard(identity)
        expected = self._fold.certificates.get(identity)
        if expected is None:
            detail = f"the registry holds {held['contract_number']}, which was never issued"
            yield Difference("certificate_is_superfluous", str(identity), detail)
            return
        content = hashlib.sha256(held["content"].encode()).digest()
        actual = tuple(content if name == "content" else held[name] for name in COLUMNS)
        if actual != expected:
            for name, words in differing(COLUMNS, expected, actual):
                yield Difference(f"{name}_differs", str(identity), f"log and registry: {words}")
        if content.hex() != held["content_sha256"]:
            yield Difference(
                "content_was_altered", str(identity), "content_sha256 is not the hash of the row's content"
            )
        registration = self._fold.registrations.get(identity)
        if registration is None:
            yield Difference("registration_is_missing", str(identity), "the registry holds it and never said so")
        elif registration.registered_at != held["registered_at"]:
            told, kept = registration.registered_at.isoformat(), held["registered_at"].isoformat()
            yield Difference("registered_at_differs", str(identity), f"log and registry: {told} and {kept}")

    def rest(self) -> Iterator[Difference]:
        """What was issued and is not in the registry. Ask after the last row."""
        for identity in self._fold.certificates:
            if identity in self._unseen:
                number = self._fold.certificates[identity].contract_number
                said = (
                    "registered, and is gone" if identity in self._fold.registrations else "issued, and never arrived"
                )
                yield Difference("certificate_is_missing", str(identity), f"{number} was {said}")


@dataclass(frozen=True)
class Report:
    """What the auditor found."""

    differences: tuple[Difference, ...]
    #: Applications without a final answer, with `queued` or `unanswered`. Not an error.
    pending: tuple[tuple[UUID, str], ...]
    #: What was looked at.
    applications: int
    decisions: int
    certificates: int
    registrations: int
    registry_rows: int
    #: Events told more than once in the same words: at-least-once delivery at work.
    repeats: int
    #: Records that no reader can take, by reason. They are parked by those who read them.
    unreadable: Mapping[str, int] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        return not self.differences

    def as_json(self) -> dict[str, Any]:
        return {
            "equal": self.equal,
            **asdict(self),
            "differences": [difference._asdict() for difference in self.differences],
            "pending": [{"application_id": str(application), "state": state} for application, state in self.pending],
        }


def report(
    fold: Fold, differences: tuple[Difference, ...], *, registry_rows: int, unreadable: Mapping[str, int]
) -> Report:
    """Sum up: what the topics say against themselves first, then what the registry does not hold as they say."""
    return Report(
        differences=(*fold.findings(), *differences),
        pending=tuple(fold.pending()),
        applications=len(fold.applications),
        decisions=len(fold.decisions),
        certificates=len(fold.certificates),
        registrations=len(fold.registrations),
        registry_rows=registry_rows,
        repeats=sum(fold.repeats.values()),
        unreadable=dict(unreadable),
    )
