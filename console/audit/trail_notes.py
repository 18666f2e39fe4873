"""What do the services note without an event: looks at keys, proposals, letters? And where is an event missing?"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from console.audit import store, wording
from console.audit.trail import Entry
from console.environment import Stack
from console.store import Connection, connect
from schemas.certificates import CertificateIssued
from schemas.event import Event
from schemas.registrations import CertificateRegistered
from schemas.views import CertificateViewed

Row = Mapping[str, Any]


async def noted(stack: Stack, application_id: UUID, numbers: Collection[str], told: Sequence[Entry]) -> list[Entry]:
    """Entries from the four databases, apart from what an event among `told` says already."""
    notes = _Notes(application_id, list(numbers), told)
    for service, look in (
        ("intake", notes.of_intake),
        ("issuer", notes.of_issuer),
        ("registry", notes.of_registry),
        ("notifier", notes.of_notifier),
    ):
        async with connect(stack, service) as connection:
            await look(connection)
    return notes.entries


class _Notes:
    def __init__(self, application_id: UUID, numbers: list[str], told: Sequence[Entry]) -> None:
        self._application_id = application_id
        self._numbers = numbers
        self._told = {entry.event_id for entry in told}
        submitted = next((entry for entry in told if entry.type == "ApplicationSubmitted"), None)
        self._is_told = submitted is not None
        #: The issuer notes no chain beside what a person did: it is the application's.
        self._chain = submitted.correlation_id if submitted else None
        self.entries: list[Entry] = []

    async def of_intake(self, intake: Connection) -> None:
        if not self._is_told:
            for row in await store.about(intake, store.SELECT_APPLICATION, self._application_id):
                self._note(row["submitted_at"], "ApplicationKept", wording.kept_line(row), "intake.application")
        for row in await self._rows(intake, store.SELECT_DISCLOSURES):
            self._note(row["disclosed_at"], "KeyDisclosed", wording.disclosure_line(row), "intake.key_disclosure")

    async def of_issuer(self, issuer: Connection) -> None:
        for row in await store.about(issuer, store.SELECT_PROPOSALS, self._application_id):
            table = "issuer.proposal" if row["rejected_at"] is None else "issuer.rejection"
            self._note(row["proposed_at"], "DecisionProposed", wording.proposal_line(row), table, self._chain)
            if row["rejected_at"] is not None:
                self._note(row["rejected_at"], "ProposalRejected", wording.rejection_line(row), table, self._chain)
        for row in await self._rows(issuer, store.SELECT_GUARANTEES):
            if row["form"] == "electronic":
                self._unless_told(CertificateIssued, row, "issued_at", "GuaranteeKept", wording.kept_line)
            if row["printed_at"] is not None:
                says = wording.printed_line(row)
                self._note(row["printed_at"], "PaperPrinted", says, "issuer.guarantee", self._chain)

    async def of_registry(self, registry: Connection) -> None:
        for row in await self._rows(registry, store.SELECT_CERTIFICATES):
            self._unless_told(CertificateRegistered, row, "registered_at", "CertificateKept", wording.kept_line)
        for row in await self._rows(registry, store.SELECT_VIEWS):
            self._unless_told(CertificateViewed, row, "viewed_at", "ViewKept", wording.view_line)
        for row in await store.about(registry, store.SELECT_OPENED, self._numbers):
            says = wording.opened_line(row)
            self._note(row["opened_at"], "CertificateOpened", says, "registry.opened_certificate")

    async def of_notifier(self, notifier: Connection) -> None:
        for row in await self._rows(notifier, store.SELECT_LETTERS):
            says, chain = wording.letter_line(row, ended=False), row["correlation_id"]
            self._note(row["arrived_at"], "LetterNoted", says, "notifier.letter", chain)
            if row["ended_at"] is not None:
                says = wording.letter_line(row, ended=True)
                self._note(row["ended_at"], "LetterEnded", says, "notifier.letter", chain)

    async def _rows(self, connection: Connection, statement: str) -> list[dict[str, Any]]:
        return await store.about(connection, statement, self._application_id, self._numbers)

    def _unless_told(self, event: type[Event], row: Row, when: str, kind: str, line: Callable[[Row], str]) -> None:
        """Note a row of which an event should tell, if none does. The event's id follows from the row's."""
        identity: dict[str, Any] = {name: row[name] for name in event.identity_fields}
        if event.model_construct(None, **identity).event_id not in self._told:
            self._note(row[when], kind, line(row), _TABLES[event])

    def _note(self, at: datetime, kind: str, says: str, source: str, correlation_id: str | None = None) -> None:
        service = source.partition(".")[0]
        self.entries.append(
            Entry(at, service, kind, says, source, correlation_id=correlation_id, offset=len(self.entries))
        )


_TABLES: Mapping[type[Event], str] = {
    CertificateIssued: "issuer.guarantee",
    CertificateRegistered: "registry.certificate",
    CertificateViewed: "registry.view",
}
