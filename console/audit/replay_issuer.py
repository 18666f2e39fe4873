"""What does the issuer keep, and what of it is told? It is folded from its own events, by its own statements.

Nothing is decided again: a person decided, or rules as they were. So no key is drawn, and no number: what was given is
told, and a series has given as many as that.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.clock import day_in_japan
from chassis.consumer import Handler
from chassis.decoding import Received, Refused
from chassis.postgres import Transaction
from console.audit.fold import Difference
from console.audit.keeping import SOMEBODY, AsTold, Keeping
from console.audit.kept_by_issuer import (
    NO_CONTENT,
    SELECT_ACCEPTED,
    SELECT_DECIDED,
    SELECT_EXPOSURES,
    SELECT_HAVE,
    SELECT_SERIES,
    SELECT_WITHOUT_NUMBER,
    TABLES,
)
from console.environment import find_reference
from console.store import Connection
from schemas import topics
from schemas.applications import ApplicationSubmitted, MessageToSurety
from schemas.certificates import CertificateIssued
from schemas.data_keys import DataKeyWrapped
from schemas.decisions import (
    ApplicationDecided,
    ApplicationQueued,
    ApplicationWithdrawn,
    DeskDecisionMade,
    MessageToContractor,
    ProductOutcome,
    WithdrawalRefused,
)
from schemas.event import Event
from services.issuer import domain, handlers, messages, store
from services.issuer.issuance import NO_NUMBERS, OUTCOMES, parties_of, party_of, series_of, standing_of, sums_of
from services.issuer.minting import certificate_id
from services.issuer.store import Guarantee, Party, Series, Standing
from services.issuer.wording import content_of


class IssuerKeeps(Keeping):
    """Applications with what was decided, guarantees, exposures, numbers, data keys and messages."""

    service = "issuer"
    topics = (topics.APPLICATIONS, topics.DATA_KEYS, topics.DECISIONS, topics.CERTIFICATES)
    tables = TABLES
    not_replayed = (
        "secrets (keys in the clear, the pepper, what opens contacts and messages), accounts, tokens, sign-ins, "
        "sessions, proposals and rejections (four eyes), who of the desk wrote a message, when paper was printed and a "
        "key erased, the ids of paper, and the outbox"
    )

    def __init__(self, shadow: Connection, clock: AsTold) -> None:
        super().__init__(shadow, clock)
        self._reference = find_reference()

    @property
    def handlers(self) -> Mapping[type[Event], Handler]:
        return {
            DataKeyWrapped: handlers.keep_data_keys,
            ApplicationSubmitted: self._submitted,
            MessageToSurety: messages.keep_messages,
            ApplicationQueued: self._queued,
            DeskDecisionMade: self._decided_at_desk,
            ApplicationDecided: self._decided,
            ApplicationWithdrawn: self._withdrawn,
            WithdrawalRefused: self._refused,
            MessageToContractor: self._written,
            CertificateIssued: self._issued,
        }

    async def forget(self, tx: Transaction, keys: Sequence[str]) -> None:
        await handlers.forget_data_keys(tx, keys)

    async def _submitted(self, tx: Transaction, batch: Sequence[Received[ApplicationSubmitted]]) -> None:
        for received in batch:
            parties_of(received.event, self._reference)
        await store.add_applications(tx, [(received, Standing()) for received in batch])
        await store.lock_exposures(tx, {party_of(received.event) for received in batch})

    async def _queued(self, tx: Transaction, batch: Sequence[Received[ApplicationQueued]]) -> None:
        await store.set_queued(tx, {received.event.application_id: standing_of(received.event) for received in batch})

    async def _decided_at_desk(self, tx: Transaction, batch: Sequence[Received[DeskDecisionMade]]) -> None:
        for event in (received.event for received in batch):
            await store.set_decided_by(tx, event)

    async def _decided(self, tx: Transaction, batch: Sequence[Received[ApplicationDecided]]) -> None:
        """The decision, the numbers it took, and certificates on paper: those have no event of their own."""
        decided = {received.event.application_id: received.event for received in batch}
        known = await tx.fetch(SELECT_DECIDED, list(decided))
        new = {row["id"]: _submitted_in(row) for row in known if row["outcomes"] is None}
        await store.set_decided(tx, {identity: standing_of(decided[identity]) for identity in new})
        drawn: Counter[Series] = Counter()
        on_paper: list[Guarantee] = []
        for identity, submitted in new.items():
            event = decided[identity]
            accepted = [outcome for outcome in event.outcomes if outcome.outcome == "accepted"]
            drawn.update({series_of(submitted, event.decided_at): len(accepted)} if accepted else {})
            on_paper += [self._paper(event, submitted, told) for told in accepted if told.contract_number is not None]
        if drawn:
            await store.draw_numbers(tx, drawn)
        await self._add(tx, on_paper)

    def _paper(self, event: ApplicationDecided, submitted: ApplicationSubmitted, told: ProductOutcome) -> Guarantee:
        assert told.contract_number is not None
        content, content_sha256 = NO_CONTENT, ""
        if event.reference_version == self._reference.version:
            purchaser, surety = parties_of(submitted, self._reference)
            applied = next(product for product in submitted.products if product.product == told.product)
            says = content_of(
                submitted,
                applied,
                number=told.contract_number,
                dated=day_in_japan(event.decided_at),
                purchaser=purchaser,
                surety=surety,
            )
            content, content_sha256 = says.canonical().decode(), says.sha256()
        return _guarantee(
            submitted,
            told,
            number=told.contract_number,
            issued_at=event.decided_at,
            identity=certificate_id(event.application_id, told.product, 1),
            content=content,
            content_sha256=content_sha256,
        )

    async def _issued(self, tx: Transaction, batch: Sequence[Received[CertificateIssued]]) -> None:
        events = {received.event.certificate_id: received.event for received in batch}
        known = await tx.fetch(SELECT_DECIDED, [event.application_id for event in events.values()])
        applications = {row["id"]: row for row in known}
        have = {row["certificate_id"] for row in await tx.fetch(SELECT_HAVE, list(events))}
        issued = []
        for event in (event for identity, event in events.items() if identity not in have):
            row = applications.get(event.application_id)
            outcomes = OUTCOMES.validate_json(row["outcomes"] or "[]") if row is not None else ()
            told = next((outcome for outcome in outcomes if outcome.product == event.product), None)
            if row is None or told is None:
                raise Refused("certificate_was_never_decided")
            issued.append(
                _guarantee(
                    _submitted_in(row),
                    told,
                    number=event.contract_number,
                    issued_at=event.issued_at,
                    identity=event.certificate_id,
                    content=event.content.canonical().decode(),
                    content_sha256=event.content_sha256,
                    key_digest=event.authentication_key.digest,
                    pepper_id=event.authentication_key.pepper_id,
                )
            )
        await self._add(tx, issued)

    async def _add(self, tx: Transaction, guarantees: Sequence[Guarantee]) -> None:
        if guarantees:
            await store.add_guarantees(tx, guarantees)
            await store.add_exposures(tx, sums_of(guarantees))

    async def _withdrawn(self, tx: Transaction, batch: Sequence[Received[ApplicationWithdrawn]]) -> None:
        await store.set_withdrawals(tx, {received.event.application_id: "withdrawn" for received in batch})

    async def _refused(self, tx: Transaction, batch: Sequence[Received[WithdrawalRefused]]) -> None:
        await store.set_withdrawals(tx, {received.event.application_id: "refused" for received in batch})

    async def _written(self, tx: Transaction, batch: Sequence[Received[MessageToContractor]]) -> None:
        await store.add_messages(
            tx,
            [messages.told_message(received.event, direction="to_contractor", person=SOMEBODY) for received in batch],
        )

    async def sums(self, live: Connection, moving: frozenset[UUID]) -> Sequence[Difference]:
        """Exposures, and how many numbers each series has given."""
        ids = list(moving)
        ours, theirs = [await _exposures(side, ids) for side in (self.shadow, live)]
        found = [
            Difference(
                "exposure.accepted_yen_differs", " ".join(party), f"accepted_yen is {ours[party]} and {theirs[party]}"
            )
            for party in sorted(ours.keys() | theirs.keys())
            if ours[party] != theirs[party]
        ]
        return [*found, *await self._series(live, ids)]

    async def _series(self, live: Connection, ids: list[UUID]) -> list[Difference]:
        ours, theirs = [await _drawn(side, ids) for side in (self.shadow, live)]
        wasted: Counter[Series] = Counter()
        for row in await live.fetch(SELECT_WITHOUT_NUMBER, NO_NUMBERS.rule):
            submitted = _submitted_in(row)
            if not isinstance(row["queued_at"], datetime):
                # Of no year of ours, which is named elsewhere.
                continue
            wasted[series_of(submitted, row["queued_at"])] += len(submitted.products)
        return [
            Difference(
                "number_series.drawn_differs",
                " ".join(str(part) for part in series),
                f"{ours[series]} numbers are told, and drawn is {theirs[series]}",
            )
            for series in sorted(ours.keys() | theirs.keys())
            if not ours[series] <= theirs[series] <= ours[series] + wasted[series]
        ]


async def _exposures(side: Connection, moving: list[UUID]) -> Counter[Party]:
    """What each contractor's guarantees add up to, without those of applications that move."""
    rows = await side.fetch(SELECT_EXPOSURES, moving)
    return Counter({(row["surety_id"], row["contractor_id"]): row["yen"] for row in rows})


async def _drawn(side: Connection, moving: list[UUID]) -> Counter[Series]:
    """Numbers given by each series, without those of applications that move."""
    drawn: Counter[Series] = Counter()
    for row in await side.fetch(SELECT_SERIES):
        drawn[row["surety_id"], row["branch_id"], row["fiscal_year"]] = row["drawn"]
    for row in await side.fetch(SELECT_ACCEPTED, moving):
        if isinstance(row["decided_at"], datetime):
            drawn[series_of(_submitted_in(row), row["decided_at"])] -= row["accepted"]
    return drawn


def _submitted_in(row: Any) -> ApplicationSubmitted:
    return ApplicationSubmitted.model_validate_json(row["submitted"])


def _guarantee(
    submitted: ApplicationSubmitted,
    told: ProductOutcome,
    *,
    number: str,
    issued_at: datetime,
    identity: UUID,
    content: str,
    content_sha256: str,
    key_digest: str | None = None,
    pepper_id: str | None = None,
) -> Guarantee:
    applied = next(product for product in submitted.products if product.product == told.product)
    return Guarantee(
        contract_number=number,
        application_id=submitted.application_id,
        product=applied.product,
        surety_id=submitted.surety_id,
        contractor_id=submitted.contractor.id,
        form=domain.ELECTRONIC if key_digest else told.form,
        amount_yen=applied.amount_yen,
        issued_at=issued_at,
        certificate_id=identity,
        content=content,
        content_sha256=content_sha256,
        key_digest=key_digest,
        pepper_id=pepper_id,
        fee=told.fee.model_dump_json() if told.fee else None,
    )
