"""What do the topics say that the registry took and told? Records in, facts out, each fact once. Pure.

Certificates are kept until they have been fed; of what has been, only what tells a repeat from another story.
"""

import hashlib
import pickle
import zlib
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from aiokafka import ConsumerRecord, TopicPartition

from chassis.decoding import Received, Refused, decode
from console.audit.fold import Difference, differing
from schemas import topics
from schemas.certificates import CertificateIssued
from schemas.event import Event
from schemas.registrations import CertificateRegistered
from schemas.views import CertificateViewed
from services.registry.checking import CONTENT_DOES_NOT_MATCH, Checked, check, recorded_of
from services.registry.domain import Certificate
from transparency.leaves import REGISTRATION, VIEW

TOPICS: Final = (topics.REGISTRATIONS, topics.VIEWS, topics.CERTIFICATES)
#: By whose rules a topic's records are read.
_READER: Final[Mapping[str, str]] = {
    topics.REGISTRATIONS.name: "intake",
    topics.VIEWS.name: "intake",
    topics.CERTIFICATES.name: "registry",
}
#: How many certificates wait for being fed in the 6 KB that one takes; each further one is packed.
MANY: Final = 10_000
#: Fields that a difference names and does not repeat.
UNTOLD: Final = frozenset({"salt"})


class Issued(NamedTuple):
    """A certificate as it was issued, and what the registry's code makes of it."""

    #: Of the bytes it was told in.
    digest: bytes
    certificate: Certificate
    #: The canonical document of its leaf. None when the registry's code refuses it, for this reason.
    leaf: bytes | None
    refused: str = ""

    def checked(self) -> Checked:
        """Raises `Refused`."""
        if self.leaf is None:
            raise Refused(self.refused)
        return Checked(self.certificate, self.leaf)


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
    value: bytes
    #: Told before anyone looked at the registry: it must be there.
    must_be_held: bool = False

    @property
    def width(self) -> int:
        """How many leaves it has: a registration is told with its certificate."""
        return 2 if self.kind == REGISTRATION else 1

    def registration(self) -> CertificateRegistered:
        return CertificateRegistered.model_validate_json(self.value, strict=True)

    def view(self) -> CertificateViewed:
        return CertificateViewed.model_validate_json(self.value, strict=True)


def read(record: ConsumerRecord) -> Issued | Told | str:
    """One record by its topic's contract and the registry's checks; or the reason why nobody can read it."""
    try:
        received = decode(record, _READER[record.topic])
    except Refused as error:
        return error.reason
    assert isinstance(received, Received), "none of these topics has tombstones"
    match received.event:
        case CertificateIssued() as event:
            return _issued(event, record.value)
        case CertificateRegistered() as event:
            told = (event.certificate_id, event.contract_number, event.leaf_index, event.registered_at)
            return Told(REGISTRATION, *told, record.value)
        case CertificateViewed() as event:
            return Told(VIEW, event.view_id, event.contract_number, event.leaf_index, event.viewed_at, record.value)
    raise AssertionError("no other event travels there")


def _issued(event: CertificateIssued, value: bytes) -> Issued:
    digest, certificate = hashlib.sha256(value).digest(), recorded_of(event)
    try:
        return Issued(digest, *check(event, certificate))
    except Refused as error:
        return Issued(digest, certificate, None, error.reason)


def _packed(issued: Issued) -> bytes:
    return zlib.compress(pickle.dumps(issued, pickle.HIGHEST_PROTOCOL), 1)


def _unpacked(packed: bytes) -> Issued:
    issued: Issued = pickle.loads(zlib.decompress(packed))  # noqa: S301 - of this process
    return issued


def record_of(
    topic: str = "",
    partition: int = 0,
    key: bytes | None = None,
    value: bytes | None = None,
    headers: Sequence[tuple[str, bytes]] = (),
) -> ConsumerRecord:
    """A record that lies nowhere."""
    return ConsumerRecord(
        topic=topic,
        partition=partition,
        offset=0,
        timestamp=0,
        timestamp_type=0,
        key=key,
        value=value,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        headers=tuple(headers),
    )


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
    #: Those not fed yet (packed, where they are many), and the digests of all.
    _issued: dict[UUID, list[Issued | bytes]] = field(default_factory=dict, repr=False)
    _digests: set[bytes] = field(default_factory=set, repr=False)

    def take(self, records: Sequence[ConsumerRecord]) -> None:
        for record in records:
            match read(record):
                case Issued() as one:
                    self._take_issued(one)
                case Told() as one:
                    held_until = self.held_until.get(TopicPartition(record.topic, record.partition), 0)
                    self._take(one._replace(must_be_held=record.offset < held_until))
                case reason:
                    self.unreadable[reason] += 1

    def issued(self, registered: CertificateRegistered) -> Issued | None:
        """The certificate that was registered: of several under one id the first that has the content told."""
        kept = self._issued.get(registered.certificate_id, ())
        versions = [one if isinstance(one, Issued) else _unpacked(one) for one in kept]
        fitting = (
            one
            for one in versions
            if one.certificate.content_sha256 == registered.content_sha256
            and (len(versions) == 1 or one.refused != CONTENT_DOES_NOT_MATCH)
        )
        return next(fitting, versions[0] if versions else None)

    def may_be_fed(self, told: Told) -> bool:
        """Whether what it is about is known."""
        return told.kind != REGISTRATION or told.subject in self._issued

    def let_go(self, told: Told) -> None:
        """It was fed, and nobody asks for its certificate any more."""
        self._issued.pop(told.subject, None)

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

    def _take_issued(self, issued: Issued) -> None:
        if issued.digest in self._digests:
            self.repeats += 1
            return
        self._digests.add(issued.digest)
        kept = issued if len(self._issued) < MANY else _packed(issued)
        self._issued.setdefault(issued.certificate.certificate_id, []).append(kept)

    def _take(self, told: Told) -> None:
        kept = self.registrations if told.kind == REGISTRATION else self.views
        before = kept.get(told.subject)
        if before is not None:
            self._repeated(before, told)
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

    def _repeated(self, before: Told, told: Told) -> None:
        self.repeats += 1
        first, event = (one.registration() if one.kind == REGISTRATION else one.view() for one in (before, told))
        for name, words in differing_fields(first, event):
            self.contradictions.append(Difference(f"{told.kind}_told_twice", told.contract_number, f"{name}: {words}"))
