"""In which order did everything happen that is known of one guarantee? Pure: entries in, their order out."""

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from console.output import printable
from documents.era import JST

#: Everything that can happen, in the order of docs/the-flow.md: what has the same time is told in this order.
STEPS: Final = (
    "DataKeyWrapped",
    "ApplicationSubmitted",
    "ApplicationKept",
    "MessageToSurety",
    "WithdrawalRequested",
    "ApplicationQueued",
    "DecisionProposed",
    "ProposalRejected",
    "MessageToContractor",
    "DeskDecisionMade",
    "ApplicationWithdrawn",
    "WithdrawalRefused",
    "ApplicationDecided",
    "CertificateIssued",
    "GuaranteeKept",
    "PaperPrinted",
    "CertificateRegistered",
    "CertificateKept",
    "LetterNoted",
    "MailSent",
    "MailUndeliverable",
    "ApplicationMailSent",
    "ApplicationMailUndeliverable",
    "LetterEnded",
    "KeyDisclosed",
    "CertificateViewed",
    "ViewKept",
    "CertificateOpened",
    "DataKeyShredded",
    "RecordUnreadable",
    "RecordParked",
    "RecordSettled",
    "RecordRedriven",
)
_RANKS: Final = {name: rank for rank, name in enumerate(STEPS)}


@dataclass(frozen=True)
class Entry:
    """One thing that happened."""

    at: datetime
    #: Where it happened.
    service: str
    #: One of `STEPS`, or an event of a later release.
    type: str
    #: One short line. Never a key, a digest, sealed or free text, or a mail address.
    says: str
    #: `topic:partition:offset`, or `database.table`.
    source: str
    correlation_id: str | None = None
    event_id: UUID | None = None
    #: The event that led to this one.
    caused_by: str | None = None
    #: Tells records of one place apart, in their order.
    offset: int = 0
    #: How often the same was told again: at-least-once delivery at work.
    repeats: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "says", printable(self.says.replace("\n", " ")))

    @property
    def at_jst(self) -> str:
        return self.at.astimezone(JST).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]

    def as_json(self) -> dict[str, Any]:
        """The same fields in the same order for ever; a program may rely on them."""
        return {
            "at": self.at.isoformat(),
            "at_jst": self.at_jst,
            "service": self.service,
            "type": self.type,
            "says": self.says,
            "correlation_id": self.correlation_id,
            "event_id": str(self.event_id) if self.event_id else None,
            "source": self.source,
            "repeats": self.repeats,
        }


@dataclass(frozen=True)
class Trail:
    """What is known of one guarantee, or of all guarantees of an application."""

    application_id: UUID
    #: Those that are told of.
    contract_numbers: tuple[str, ...]
    entries: tuple[Entry, ...]


def in_order(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """By time, then by step; but nothing before the event that led to it, whatever the clocks said."""
    waiting = sorted(entries, key=_place)
    known = {str(entry.event_id): index for index, entry in reversed(list(enumerate(waiting))) if entry.event_id}
    effects: dict[int, list[int]] = {}
    ready: list[int] = []
    for index, entry in enumerate(waiting):
        cause = known.get(entry.caused_by or "", index)
        if cause == index:
            ready.append(index)
        else:
            effects.setdefault(cause, []).append(index)
    told: list[int] = []
    # Indices are in the order of time already, so the smallest is the earliest.
    heapq.heapify(ready)
    while ready:
        index = heapq.heappop(ready)
        told.append(index)
        for effect in effects.get(index, ()):
            heapq.heappush(ready, effect)
    # Events that name each other as their cause: no clock and no chain can order them.
    circular = sorted(set(range(len(waiting))) - set(told))
    return tuple(waiting[index] for index in (*told, *circular))


def once(entries: Sequence[tuple[Entry, object]]) -> list[Entry]:
    """The first of what is the same, with how often it came again. Pairs of an entry and what makes it the same."""
    times = Counter(same for _, same in entries)
    first: dict[object, Entry] = {}
    for entry, same in entries:
        first.setdefault(same, entry)
    return [replace(entry, repeats=times[same] - 1) for same, entry in first.items()]


def _place(entry: Entry) -> tuple[datetime, int, str, int]:
    return (entry.at, _RANKS.get(entry.type, len(STEPS)), entry.source.rpartition(":")[0], entry.offset)
