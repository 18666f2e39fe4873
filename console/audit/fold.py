"""What must the registry hold, if the event log is true? Pure: events in, expectations out.

Topics may come in any order among each other. The log is right by definition: what it says twice must be the same, and
what it says must follow from what it said.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from sys import intern
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

from schemas.applications import ApplicationSubmitted
from schemas.certificates import CertificateIssued
from schemas.decisions import ApplicationDecided, ApplicationQueued, ApplicationWithdrawn
from schemas.event import Event
from schemas.registrations import CertificateRegistered

F = TypeVar("F")

PAPER: Final = "paper"
ACCEPTED: Final = "accepted"


class Difference(NamedTuple):
    """One thing that is not as it must be."""

    #: What kind of thing, for programs: `certificate_is_missing` …
    kind: str
    #: What it is about: a certificate's or an application's id, or a contract number.
    subject: str
    #: In words. Never a key, a digest of one, or what a certificate says.
    detail: str

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}: {self.detail}"


class Row(NamedTuple):
    """A certificate as the registry must hold it, apart from the time of its arrival."""

    contract_number: str
    version: int
    change_number: int
    application_id: UUID
    product: str
    surety_id: str
    purchaser_id: str
    issued_at: datetime
    #: SHA-256 of the canonical content: equal exactly when the text is, and a hundredth of its size.
    content: bytes
    #: As the event says; wrong where it does not fit the content.
    content_sha256: str
    key_digest: str
    pepper_id: str


class Registration(NamedTuple):
    """What the registry told about a certificate's arrival."""

    contract_number: str
    version: int
    change_number: int
    application_id: UUID
    product: str
    surety_id: str
    purchaser_id: str
    content_sha256: str
    registered_at: datetime


class Decision(NamedTuple):
    decided_at: datetime
    #: product, form, outcome, number of a paper one
    outcomes: tuple[tuple[str, str, str, str | None], ...]


#: Columns whose values are not repeated in a difference.
UNTOLD: Final = frozenset({"content", "key_digest"})


def differing(names: tuple[str, ...], one: tuple[object, ...], other: tuple[object, ...]) -> Iterator[tuple[str, str]]:
    """The fields in which two rows differ, with words for it."""
    for name, mine, theirs in zip(names, one, other, strict=True):
        if mine != theirs:
            yield name, f"{name} differs" if name in UNTOLD else f"{name} is {_plain(mine)} and {_plain(theirs)}"


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


@dataclass
class Fold:
    """All that four topics say. Takes events for ever; `findings` may be asked at any point."""

    certificates: dict[UUID, Row] = field(default_factory=dict)
    registrations: dict[UUID, Registration] = field(default_factory=dict)
    #: Products asked for, with their form.
    applications: dict[UUID, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    decisions: dict[UUID, Decision] = field(default_factory=dict)
    queued: set[UUID] = field(default_factory=set)
    withdrawn: dict[UUID, datetime] = field(default_factory=dict)
    #: Events taken, by type, and among them those that were told before in the same words.
    events: Counter[str] = field(default_factory=Counter)
    repeats: Counter[str] = field(default_factory=Counter)
    #: What an event contradicted as it came.
    contradictions: list[Difference] = field(default_factory=list)
    _by_version: dict[tuple[str, int], UUID] = field(default_factory=dict, repr=False)
    _by_product: dict[tuple[UUID, str, int], UUID] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._takers: dict[type[Event], Callable[[Any], None]] = {
            ApplicationSubmitted: self._submitted,
            ApplicationQueued: self._queued,
            ApplicationDecided: self._decided,
            ApplicationWithdrawn: self._withdrawn,
            CertificateIssued: self._issued,
            CertificateRegistered: self._registered,
        }

    def take(self, event: Event) -> None:
        """Add one event. Types that say nothing about the registry are counted and let go."""
        self.events[type(event).__name__] += 1
        # By type and not by `match`: asking a pydantic class whether it has an instance costs a microsecond each.
        if (take := self._takers.get(type(event))) is not None:
            take(event)

    def _submitted(self, event: ApplicationSubmitted) -> None:
        asked = tuple((intern(product.product), intern(product.form)) for product in event.products)
        self._once(self.applications, event, event.application_id, asked, "application_submitted_twice")

    def _queued(self, event: ApplicationQueued) -> None:
        self.queued.add(event.application_id)

    def _withdrawn(self, event: ApplicationWithdrawn) -> None:
        self._once(self.withdrawn, event, event.application_id, event.withdrawn_at, "application_withdrawn_twice")

    def _issued(self, event: CertificateIssued) -> None:
        row = Row(
            event.contract_number,
            event.version,
            event.change_number,
            event.application_id,
            intern(event.product),
            intern(event.surety_id),
            intern(event.purchaser_id),
            event.issued_at,
            bytes.fromhex(event.content.sha256()),
            event.content_sha256,
            event.authentication_key.digest,
            intern(event.authentication_key.pepper_id),
        )
        identity = event.certificate_id
        known = self.certificates.get(identity)
        if known is not None:
            self._repeat_or_contradict(event, identity, known, row, "certificate_issued_twice")
            return
        self.certificates[identity] = row
        first = self._by_version.setdefault((row.contract_number, row.version), identity)
        if first != identity:
            detail = f"version {row.version} is certificate {first} and certificate {identity}"
            self._contradict("contract_version_issued_twice", row.contract_number, detail)
        first = self._by_product.setdefault((row.application_id, row.product, row.version), identity)
        if first != identity:
            detail = f"{row.product} version {row.version} is certificate {first} and certificate {identity}"
            self._contradict("product_issued_twice", str(row.application_id), detail)
        says = event.content
        if (says.contract_number, says.version, says.change_number, says.product) != (
            row.contract_number,
            row.version,
            row.change_number,
            row.product,
        ):
            self._contradict("content_is_of_another", str(identity), "number, version or product within is not its own")
        if row.content.hex() != row.content_sha256:
            self._contradict("content_sha256_is_wrong", str(identity), "the event's hash is not that of its content")

    def _registered(self, event: CertificateRegistered) -> None:
        registration = Registration(
            event.contract_number,
            event.version,
            event.change_number,
            event.application_id,
            intern(event.product),
            intern(event.surety_id),
            intern(event.purchaser_id),
            event.content_sha256,
            event.registered_at,
        )
        self._once(self.registrations, event, event.certificate_id, registration, "certificate_registered_twice")

    def _decided(self, event: ApplicationDecided) -> None:
        outcomes = tuple(
            (intern(told.product), intern(told.form), intern(told.outcome), told.contract_number)
            for told in event.outcomes
        )
        decision = Decision(event.decided_at, outcomes)
        self._once(self.decisions, event, event.application_id, decision, "application_decided_twice")

    def _once(self, facts: dict[UUID, F], event: Event, identity: UUID, fact: F, kind: str) -> None:
        """Keep the first of its kind; a second must be the same."""
        if identity in facts:
            self._repeat_or_contradict(event, identity, facts[identity], fact, kind)
        else:
            facts[identity] = fact

    def _repeat_or_contradict(self, event: Event, identity: UUID, known: object, fact: object, kind: str) -> None:
        if known == fact:
            self.repeats[type(event).__name__] += 1
            return
        detail = "told a second time, with other content"
        if isinstance(known, Row | Registration) and isinstance(fact, Row | Registration):
            detail += f": {', '.join(words for _, words in differing(known._fields, known, fact))}"
        self._contradict(kind, str(identity), detail)

    def _contradict(self, kind: str, subject: str, detail: str) -> None:
        self.contradictions.append(Difference(kind, subject, detail))

    def findings(self) -> Iterator[Difference]:
        """Everything in which the topics disagree with themselves or with each other."""
        yield from self.contradictions
        yield from self._about_registrations()
        yield from self._about_decisions()
        yield from self._about_numbers()

    def pending(self) -> Iterator[tuple[UUID, str]]:
        """Applications without a final answer: `queued` at the desk, or `unanswered` so far."""
        for application in self.applications:
            if application not in self.decisions and application not in self.withdrawn:
                yield application, "queued" if application in self.queued else "unanswered"

    def _about_registrations(self) -> Iterator[Difference]:
        for identity, registration in self.registrations.items():
            row = self.certificates.get(identity)
            if row is None:
                detail = f"{registration.contract_number} was registered and never issued"
                yield Difference("registration_without_certificate", str(identity), detail)
                continue
            told = registration._fields[:-1]
            issued = tuple(getattr(row, name) for name in told)
            for _, words in differing(told, issued, registration[:-1]):
                yield Difference("registration_differs", str(identity), f"issued and registered: {words}")

    def _about_decisions(self) -> Iterator[Difference]:
        electronic: set[tuple[UUID, str]] = set()
        for application, decision in self.decisions.items():
            yield from self._about_decision(application, decision)
            for product, form, outcome, number in decision.outcomes:
                if outcome != ACCEPTED:
                    continue
                if form != PAPER:
                    electronic.add((application, product))
                    if (application, product, 1) not in self._by_product:
                        detail = f"{product} was accepted and no certificate was issued"
                        yield Difference("certificate_not_issued", str(application), detail)
                elif number is None:
                    yield Difference("paper_without_number", str(application), f"{product} was accepted on paper")
        for identity, row in self.certificates.items():
            if (row.application_id, row.product) not in electronic:
                detail = f"{row.product} of application {row.application_id} was not accepted as an electronic one"
                yield Difference("certificate_without_decision", str(identity), detail)

    def _about_decision(self, application: UUID, decision: Decision) -> Iterator[Difference]:
        asked = self.applications.get(application)
        if asked is None:
            yield Difference("decision_without_application", str(application), "decided and never submitted")
        elif sorted(asked) != sorted((product, form) for product, form, _, _ in decision.outcomes):
            yield Difference("decision_differs", str(application), "other products were decided than were asked for")
        if application in self.withdrawn:
            yield Difference("decided_and_withdrawn", str(application), "both are final")

    def _about_numbers(self) -> Iterator[Difference]:
        owners: dict[str, tuple[UUID, str]] = {}
        for row in self.certificates.values():
            owner = owners.setdefault(row.contract_number, (row.application_id, row.product))
            if owner != (row.application_id, row.product):
                yield _number_twice(row.contract_number, owner, (row.application_id, row.product))
        for application, decision in self.decisions.items():
            for product, _, _, number in decision.outcomes:
                if number is not None and (owner := owners.setdefault(number, (application, product))) != (
                    application,
                    product,
                ):
                    yield _number_twice(number, owner, (application, product))


def _number_twice(number: str, one: tuple[UUID, str], other: tuple[UUID, str]) -> Difference:
    return Difference("number_given_twice", number, f"to {one[1]} of {one[0]} and to {other[1]} of {other[0]}")
