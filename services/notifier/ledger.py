"""What is durable before a letter leaves, and what becomes so after: the two transactions around SMTP."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID

import structlog

from chassis import sealing
from chassis.clock import Clock
from chassis.outbox import Outbox
from chassis.postgres import Pool, Transaction, transaction
from reference.reader import Reference
from schemas.envelope import Cause
from schemas.sealed import Contact
from services.notifier import domain, store, telling
from services.notifier.composing import Facts
from services.notifier.domain import BackOff, GivenUp, Outcome, PutOff, Sent, Unclear
from services.notifier.handlers import open_data_key
from services.notifier.metrics import (
    MAIL_SECONDS,
    MAILS_DEFERRED,
    MAILS_REPEATED,
    MAILS_SENT,
    MAILS_UNDELIVERABLE,
    MAILS_UNKNOWN,
)

log = structlog.get_logger()


class CannotBeRead(Exception):
    """The contact data does not open with the application's key. It never will."""


@dataclass(frozen=True)
class Claimed:
    """A letter that is ours for a lease; that it is about to leave is durable."""

    row: store.Row = field(repr=False)
    #: By the monotonic clock: until then nobody else has it, however long this process was frozen.
    ours_until: float

    @property
    def about_id(self) -> UUID:
        identity: UUID = self.row["about_id"]
        return identity

    @property
    def attempt(self) -> int:
        count: int = self.row["attempts"]
        return count


@dataclass(frozen=True)
class Ledger:
    """The letters and what became of them."""

    pool: Callable[[], Pool]
    outbox: Outbox
    clock: Clock
    reference: Reference
    private_key: bytes = field(repr=False)
    #: Where contractors log in; letters link to their pages.
    contractor_url: str
    back_off: BackOff
    lease_seconds: float
    #: Send again what nobody knows of, or leave it to a person.
    resend_unknown: bool

    async def claim(self) -> Claimed | None:
        """Take the letter that is due longest. Committed when this returns: nothing leaves without a trace."""
        now = self.clock.now()
        ours_until = time.monotonic() + self.lease_seconds
        async with transaction(self.pool()) as tx:
            # Step 8: note the intention.
            row = await store.claim_one(tx, now=now, lease=self.lease, resend=self.resend_unknown)
        if row is None:
            return None
        if row["was"] == "sending":
            log.warning("letter.resent", **told_of(row))
            MAILS_UNKNOWN.labels("resent").inc()
        return Claimed(row, ours_until)

    async def call_back(self) -> int:
        """Let nothing wait longer than it would be told to now, whatever the clock said when it was; how many."""
        now = self.clock.now()
        latest = now + self.back_off.longest_wait
        async with transaction(self.pool()) as tx:
            return await store.call_back(tx, now, latest=latest, lease=self.lease)

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.lease_seconds)

    def facts(self, claimed: Claimed) -> Facts | GivenUp:
        """What the letter tells, with the contact opened; or why there can be no letter. Raises `CannotBeRead`."""
        row = claimed.row
        surety = self.reference.surety(row["surety_id"])
        if given_up := domain.told_by(row["letter"]):
            contact = Contact(mail_address=surety.undeliverable_mail_to)
        elif row["wrapped"] is None:
            # Shredded while it was being sent, or put off.
            return GivenUp("shredded")
        else:
            contact = self._contact(row)
        return Facts(
            letter=domain.kind_of(row["letter"]),
            surety=surety,
            branch=surety.branch(row["branch_id"]),
            contractor_name=row["contractor_name"],
            works_name=row["works_name"],
            application_id=row["application_id"],
            products=tuple(row["products"]),
            contract_number=row["contract_number"],
            happened_at=row["happened_at"],
            page=domain.page(
                self.contractor_url,
                surety_id=surety.id,
                application_id=row["application_id"],
                contract_number=row["contract_number"],
            ),
            contact=contact,
            message_id=row["message_id"],
            correlation_id=row["correlation_id"],
            given_up=given_up,
            given_up_reason=row["given_up_reason"],
        )

    def _contact(self, row: store.Row) -> Contact:
        try:
            data_key = open_data_key(self.private_key, row["application_id"], row["data_key_id"], row["wrapped"])
            opened = data_key.open(row["contact_nonce"], row["contact_ciphertext"], about=row["application_id"])
            return Contact.model_validate_json(opened)
        except (sealing.CannotOpen, ValueError):
            raise CannotBeRead from None

    async def note(self, claimed: Claimed, outcome: Outcome) -> None:
        """Note what became of an attempt, with event and letter that tell it: one transaction, safe to repeat."""
        now = self.clock.now()
        outcome = self._settled(claimed, outcome, now)
        async with transaction(self.pool()) as tx:
            # Step 8: note the outcome.
            attempts = await self._write(tx, claimed, outcome, now)
            if attempts is not None:
                await self._tell(tx, claimed.row, outcome, attempts, now)
        self.outbox.wake()
        self._account_for(claimed, outcome, now, noted=attempts is not None)

    async def _tell(self, tx: Transaction, row: store.Row, outcome: Outcome, attempts: int, now: datetime) -> None:
        if event := telling.event_of(row, outcome, attempts=attempts, message_id=row["message_id"], now=now):
            await self.outbox.add(tx, [(event, Cause(row["correlation_id"], row["causation_id"], row["traceparent"]))])
        if isinstance(outcome, GivenUp):
            await telling.tell_surety(tx, [row], self.reference, now)

    def _settled(self, claimed: Claimed, outcome: Outcome, now: datetime) -> Outcome:
        """The outcome after back-off and settings had their say."""
        if isinstance(outcome, Unclear) and self.resend_unknown:
            outcome = PutOff(by_server=False)
        if isinstance(outcome, PutOff) and self._next_try(claimed, outcome, now) is None:
            return GivenUp("expired", outcome.smtp_code)
        return outcome

    def _next_try(self, claimed: Claimed, outcome: PutOff, now: datetime) -> datetime | None:
        # A server that takes nothing at all says nothing about this letter: its own waits do not get longer.
        deferrals = 0 if outcome.by_server else claimed.row["deferrals"]
        return self.back_off.next_try(
            deferrals=deferrals, attempts=claimed.attempt, queued_at=claimed.row["queued_at"], now=now
        )

    async def _write(self, tx: Transaction, claimed: Claimed, outcome: Outcome, now: datetime) -> int | None:
        deferrals: int = claimed.row["deferrals"]
        due_at: datetime | None = None
        smtp_code: int | None = None
        reason: str | None = None
        match outcome:
            case Sent():
                state, smtp_code = "sent", 250
            case PutOff():
                state, smtp_code = "queued", outcome.smtp_code
                due_at = self._next_try(claimed, outcome, now)
                deferrals += 0 if outcome.by_server else 1
            case GivenUp():
                state, smtp_code, reason = "undeliverable", outcome.smtp_code, outcome.reason
            case Unclear():
                state = "unknown"
            case _:
                assert_never(outcome)
        return await store.note_outcome(
            tx,
            claimed.about_id,
            claimed.row["letter"],
            attempt=claimed.attempt,
            state=state,
            deferrals=deferrals,
            now=now,
            due_at=due_at,
            smtp_code=smtp_code,
            reason=reason,
        )

    def _account_for(self, claimed: Claimed, outcome: Outcome, now: datetime, *, noted: bool) -> None:
        told = {**told_of(claimed.row), "attempt": claimed.attempt}
        kind = domain.kind_of(claimed.row["letter"])
        if not noted:
            # Somebody else had it after our lease and came to an end first.
            log.warning("letter.had_ended", outcome=type(outcome).__name__, **told)
            if isinstance(outcome, Sent):
                MAILS_REPEATED.inc()
            return
        match outcome:
            case Sent():
                log.info("letter.sent", **told)
                MAILS_SENT.labels(claimed.row["surety_id"], kind).inc()
                if kind == domain.COMPLETION:
                    MAIL_SECONDS.observe(max(0.0, (now - claimed.row["happened_at"]).total_seconds()))
            case PutOff():
                log.info("letter.put_off", by_server=outcome.by_server, smtp_code=outcome.smtp_code, **told)
                MAILS_DEFERRED.labels("server" if outcome.by_server else "letter").inc()
            case GivenUp():
                log.error("letter.given_up", reason=outcome.reason, smtp_code=outcome.smtp_code, **told)
                MAILS_UNDELIVERABLE.labels(outcome.reason, kind).inc()
            case Unclear():
                log.error("letter.unknown", **told)
                MAILS_UNKNOWN.labels("parked").inc()
            case _:
                assert_never(outcome)


def told_of(row: store.Row) -> dict[str, str]:
    """What a log line says of a letter: no address, no name."""
    certificate = {} if row["certificate_id"] is None else {"certificate_id": str(row["certificate_id"])}
    return {
        "application_id": str(row["application_id"]),
        **certificate,
        "letter": row["letter"],
        "correlation_id": row["correlation_id"],
    }
