"""What do the topics say that the registry took and told? Records in, facts out, each fact once. Pure.

Facts are kept as the bytes they came in, certificates compressed: with its registration each takes about 2.5 KB.
"""

import zlib
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple, TypeVar
from uuid import UUID

from aiokafka import ConsumerRecord, TopicPartition

from chassis.decoding import Received, Refused, decode
from console.audit.fold import Difference, differing
from schemas import topics
from schemas.certificates import CertificateIssued
from schemas.event import Event
from schemas.registrations import CertificateRegistered
from schemas.views import CertificateViewed
from transparency.leaves import REGISTRATION, VIEW

E = TypeVar("E", bound=Event)

TOPICS: Final = (topics.REGISTRATIONS, topics.VIEWS, topics.CERTIFICATES)
#: By whose rules a topic's records are read.
_READER: Final[Mapping[str, str]] = {
    topics.REGISTRATIONS.name: "intake",
    topics.VIEWS.name: "intake",
    topics.CERTIFICATES.name: "registry",
}
#: Fields that a difference names and does not repeat.
UNTOLD: Final = frozenset({"salt"})


class Told(NamedTuple):
    """A registration or a view, as the registry told it."""

    #: `registration` or `view`, as the leaves are called.
    kind: str
    #: certificate_id or view_id
    subject: UUID
    contract_number: str
    #: Index of its first leaf; None where it was told before it had one.
    place: int | None
    at: datetime
    #: Told before anyone looked at the registry: it must be there.
    must_be_held: bool
    value: bytes

    @property
    def width(self) -> int:
        """How many leaves it has: a registration is told with its certificate."""
        return 2 if self.kind == REGISTRATION else 1

    def registration(self) -> CertificateRegistered:
        return CertificateRegistered.model_validate_json(self.value, strict=True)

    def view(self) -> CertificateViewed:
        return CertificateViewed.model_validate_json(self.value, strict=True)


def differing_fields(one: Event, other: Event) -> Iterator[tuple[str, str]]:
    """The fields in which two events of a type differ, with words for it."""
    names = tuple(name for name in type(one).model_fields if name not in UNTOLD)
    yield from differing(names, *(tuple(getattr(event, name) for name in names) for event in (one, other)))
    for name in UNTOLD & type(one).model_fields.keys():
        if getattr(one, name) != getattr(other, name):
            yield name, f"{name} differs"


def told_otherwise(told: Event, again: Event) -> Iterator[tuple[str, str]]:
    """The fields of an event that this release would tell otherwise. What an older one did not tell at all is none."""
    yield from ((name, words) for name, words in differing_fields(told, again) if name in told.model_fields_set)


@dataclass
class Facts:
    """All that the three topics say."""

    #: Where the effects' topics ended before the registry was looked at.
    held_until: Mapping[TopicPartition, int]
    registrations: dict[UUID, Told] = field(default_factory=dict)
    views: dict[UUID, Told] = field(default_factory=dict)
    #: Index of a leaf → the fact that begins there.
    places: dict[int, Told] = field(default_factory=dict)
    #: Facts told more than once in the same words.
    repeats: int = 0
    #: Records that nobody can read, by reason.
    unreadable: Counter[str] = field(default_factory=Counter)
    #: What the topics say against themselves.
    contradictions: list[Difference] = field(default_factory=list)
    _issued: dict[UUID, list[bytes]] = field(default_factory=dict, repr=False)

    def take(self, records: Sequence[ConsumerRecord]) -> None:
        for record in records:
            try:
                received = decode(record, _READER[record.topic])
            except Refused as error:
                self.unreadable[error.reason] += 1
                continue
            assert isinstance(received, Received), "none of these topics has tombstones"
            held_until = self.held_until.get(TopicPartition(record.topic, record.partition), 0)
            match received.event:
                case CertificateIssued():
                    self._take_issued(received.event, record.value)
                case CertificateRegistered() as event:
                    told = (event.certificate_id, event.contract_number, event.leaf_index, event.registered_at)
                    self._take(Told(REGISTRATION, *told, record.offset < held_until, record.value), event)
                case CertificateViewed() as event:
                    told = (event.view_id, event.contract_number, event.leaf_index, event.viewed_at)
                    self._take(Told(VIEW, *told, record.offset < held_until, record.value), event)

    def issued(self, registered: CertificateRegistered) -> CertificateIssued | None:
        """The certificate that was registered: of several under one id the first that has the content told."""
        versions = [
            CertificateIssued.model_validate_json(zlib.decompress(packed), strict=True)
            for packed in self._issued.get(registered.certificate_id, ())
        ]
        fitting = (
            event
            for event in versions
            if event.content_sha256 == registered.content_sha256
            and (len(versions) == 1 or event.content.sha256() == event.content_sha256)
        )
        return next(fitting, versions[0] if versions else None)

    def without_place(self) -> list[Told]:
        """What was told before it had a leaf, by time."""
        told = (*self.registrations.values(), *self.views.values())
        return sorted((one for one in told if one.place is None), key=lambda one: (one.at, one.subject))

    def told_until(self, size: int, others: Container[int]) -> int:
        """How far leaf follows leaf from `size` on, each told with its place, or one of `others`."""
        while True:
            told = self.places.get(size)
            if told is None and size not in others:
                return size
            size += told.width if told is not None else 1

    @property
    def unregistered(self) -> int:
        """Certificates that were issued and did not arrive: on their way, or parked."""
        return len(self._issued.keys() - self.registrations.keys())

    def _take_issued(self, event: CertificateIssued, value: bytes) -> None:
        packed = zlib.compress(value, 1)
        known = self._issued.setdefault(event.certificate_id, [])
        if packed in known:
            self.repeats += 1
        else:
            known.append(packed)

    def _take(self, told: Told, event: CertificateRegistered | CertificateViewed) -> None:
        kept = self.registrations if told.kind == REGISTRATION else self.views
        before = kept.get(told.subject)
        if before is not None:
            self._repeated(before, told, event)
            return
        kept[told.subject] = told
        if told.place is None:
            return
        neighbours = [self.places.get(told.place + n) for n in range(told.width)]
        left = self.places.get(told.place - 1)
        if any(neighbours) or (left is not None and left.width == 2):  # noqa: PLR2004 - a registration's two leaves
            self.contradictions.append(
                Difference("place_told_twice", told.contract_number, f"leaf {told.place} is another's, too")
            )
            return
        self.places[told.place] = told

    def _repeated(self, before: Told, told: Told, event: Event) -> None:
        self.repeats += 1
        first = before.registration() if before.kind == REGISTRATION else before.view()
        for name, words in differing_fields(first, event):
            self.contradictions.append(Difference(f"{told.kind}_told_twice", told.contract_number, f"{name}: {words}"))
