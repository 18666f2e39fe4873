"""The moments at which a service may die: the steps of docs/the-flow.md, as they pass on its lines."""

import os
from dataclasses import dataclass, field
from typing import Final

from tests.support.wires import PostgresWire, SmtpWire

#: By default one load kills every service at its steps in turn, and only the notifier dies while it migrates; `make
#: fault` also tries each step alone, and every service.
EACH: Final = bool(os.environ.get("AKASHI_FAULT_EACH_STEP"))
#: Happens only when a process starts, and its release has migrations that were not applied.
STARTING: Final = 0
#: Happens only when a purchaser looks a certificate up.
VIEW: Final = 10
#: Happens only when an operator has personal data erased.
SHREDDING: Final = 11


@dataclass(frozen=True)
class Step:
    """A moment of one service: its number in the flow, and what passes on which line."""

    service: str
    number: int
    what: str
    neighbour: str
    words: tuple[str, ...] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.service}-{self.number}-{self.what}"


def _commit(service: str, number: int, what: str, *words: str) -> Step:
    return Step(service, number, what, "postgres", ("COMMIT", *words))


def _published(service: str, number: int) -> tuple[Step, Step]:
    """The two moments of a relay."""
    return (
        Step(service, number, "produce", "kafka", ("Produce",)),
        Step(service, number, "outbox", "postgres", ("DELETE FROM outbox",)),
    )


def _read(service: str, number: int) -> Step:
    return Step(service, number, "offsets", "kafka", ("OffsetCommit",))


STEPS: Final[dict[str, tuple[Step, ...]]] = {
    "intake": (
        _commit("intake", 1, "application", "INSERT INTO application"),
        *_published("intake", 2),
        _commit("intake", 9, "registration", "INSERT INTO registration"),
        _read("intake", 9),
    ),
    "issuer": (
        _commit("issuer", 4, "guarantee", "INSERT INTO guarantee"),
        *_published("issuer", 5),
        _read("issuer", 4),
    ),
    "registry": (
        _commit("registry", 6, "certificate", "INSERT INTO certificate"),
        *_published("registry", 7),
        _read("registry", 6),
        _commit("registry", VIEW, "view", "INSERT INTO view"),
        _commit("registry", 6, "checkpoint", "INSERT INTO checkpoint"),
    ),
    "notifier": (
        _commit("notifier", 8, "halves", "INSERT INTO letter"),
        _commit("notifier", 8, "claim", "attempts = letter.attempts + 1", PostgresWire.A_ROW),
        Step("notifier", 8, "letter", "smtp", (SmtpWire.LETTER,)),
        _commit("notifier", 8, "note", "UPDATE letter SET state = $4", PostgresWire.A_ROW),
        *_published("notifier", 8),
        _read("notifier", 8),
    ),
}
#: Of step 11, in their order: the command itself, as intake; the tombstone on its way; and the readers who forget.
SHRED: Final = _commit("intake", SHREDDING, "shredding", "INSERT INTO shredding")
FORGETTING: Final = (
    *_published("intake", SHREDDING),
    _commit("issuer", SHREDDING, "forgotten", "INSERT INTO known_data_key (application_id, shredded_at)"),
    _read("issuer", SHREDDING),
    _commit("notifier", SHREDDING, "forgotten", "INSERT INTO delivery (application_id, shredded_at)"),
    _read("notifier", SHREDDING),
)


def migrating(service: str) -> tuple[Step, ...]:
    """Of tomorrow's release: a file that is noted together with what it did, and one that is noted afterwards."""
    return (
        _commit(service, STARTING, "migration", "INSERT INTO schema_migration"),
        Step(service, STARTING, "index", "postgres", ("CREATE INDEX CONCURRENTLY",)),
    )
