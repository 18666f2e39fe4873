"""Which topics there are, who writes and reads them, and how long they last.

Topic creation, AsyncAPI and the diagram in `docs/the-flow.md` derive from this page.
"""

from dataclasses import dataclass
from datetime import timedelta
from functools import cache, cached_property
from typing import Final

from schemas.applications import ApplicationSubmitted, MessageToSurety, WithdrawalRequested
from schemas.certificates import CertificateIssued
from schemas.data_keys import DataKeyWrapped
from schemas.decisions import (
    ApplicationDecided,
    ApplicationQueued,
    ApplicationWithdrawn,
    DeskDecisionMade,
    MessageToContractor,
    WithdrawalRefused,
)
from schemas.event import Event
from schemas.notifications import (
    ApplicationMailSent,
    ApplicationMailUndeliverable,
    MailSent,
    MailUndeliverable,
)
from schemas.registrations import CertificateRegistered
from schemas.views import CertificateViewed

#: A document larger than this is nobody's event: it is parked, not read.
MAX_EVENT_BYTES: Final = 256 * 1024
#: What a dead-letter topic takes: any record a business topic could hold, with the reason beside it.
MAX_DEAD_LETTER_BYTES: Final = 4 * 1024 * 1024
#: Partitions of a dead-letter or redrive topic: little traffic, read by people.
OWN_TOPIC_PARTITIONS: Final = 4


@dataclass(frozen=True)
class Topic:
    """A topic, as every environment creates it."""

    name: str
    #: The one service that publishes here.
    writer: str
    #: What the Kafka key holds, in words.
    key: str
    events: tuple[type[Event], ...]
    #: Consumer groups.
    readers: tuple[str, ...]
    #: Partitions can't grow without breaking order per key.
    partitions: int = 32
    compacted: bool = False
    #: Of a compacted one: how soon after a later record of its key a record may be rewritten, at the latest.
    compacted_within: timedelta = timedelta(days=1)
    #: A null value under a known key means "forget it".
    tombstones: bool = False
    max_message_bytes: int = 1024 * 1024

    @cached_property
    def _by_type_name(self) -> dict[str, type[Event]]:
        return {event.type_name(): event for event in self.events}

    def event_of(self, type_name: str) -> type[Event] | None:
        return self._by_type_name.get(type_name)


APPLICATIONS = Topic(
    "applications.v1",
    "intake",
    "application id",
    (ApplicationSubmitted, WithdrawalRequested, MessageToSurety),
    ("issuer", "notifier"),
)
DECISIONS = Topic(
    "decisions.v1",
    "issuer",
    "application id",
    (
        ApplicationQueued,
        DeskDecisionMade,
        ApplicationDecided,
        ApplicationWithdrawn,
        WithdrawalRefused,
        MessageToContractor,
    ),
    ("intake", "notifier"),
)
CERTIFICATES = Topic(
    "certificates.v1", "issuer", "guarantee contract number", (CertificateIssued,), ("intake", "registry")
)
REGISTRATIONS = Topic(
    "registrations.v1", "registry", "guarantee contract number", (CertificateRegistered,), ("intake", "notifier")
)
VIEWS = Topic("views.v1", "registry", "guarantee contract number", (CertificateViewed,), ("intake", "notifier"))
NOTIFICATIONS = Topic(
    "notifications.v1",
    "notifier",
    "application id",
    (MailSent, MailUndeliverable, ApplicationMailSent, ApplicationMailUndeliverable),
    ("intake",),
)
DATA_KEYS = Topic(
    "data-keys.v1",
    "intake",
    "application id",
    (DataKeyWrapped,),
    ("issuer", "notifier"),
    compacted=True,
    tombstones=True,
)

BUSINESS: Final = (APPLICATIONS, DECISIONS, CERTIFICATES, REGISTRATIONS, VIEWS, NOTIFICATIONS, DATA_KEYS)
_TOPICS: Final = {event: topic for topic in BUSINESS for event in topic.events}
GROUPS: Final = tuple(sorted({group for topic in BUSINESS for group in topic.readers}))


def of_event(event: type[Event]) -> Topic:
    """The topic an event travels on."""
    return _TOPICS[event]


@cache
def read_by(group: str) -> tuple[Topic, ...]:
    return tuple(topic for topic in BUSINESS if group in topic.readers)


def dead_letters(group: str) -> str:
    """Where a group parks what it can never read."""
    return f"{group}.dead-letters.v1"


def redrive(group: str) -> str:
    """Where an operator gives a parked record back to one group only."""
    return f"{group}.redrive.v1"
