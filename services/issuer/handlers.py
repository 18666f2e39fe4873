"""What the issuer does when the world speaks to it. Each gets an open transaction; none commits or publishes.

The numbers of steps are those of docs/the-flow.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from uuid import UUID

from chassis import sealing
from chassis.decoding import Received, Refused
from chassis.postgres import Transaction
from chassis.web.problems import FieldError, Problem, invalid
from chassis.web.tokens import Principal
from reference.codes import FOUR_EYES
from schemas.applications import ApplicationSubmitted, WithdrawalRequested
from schemas.data_keys import DataKeyWrapped
from schemas.decisions import (
    ApplicationQueued,
    ApplicationWithdrawn,
    DeskDecisionMade,
    Finding,
    OutsideFact,
    WithdrawalRefused,
)
from schemas.envelope import Cause
from schemas.event import Event
from services.issuer import domain, sealed, store
from services.issuer.issuance import (
    NO_NUMBERS,
    Decision,
    Issuing,
    assess,
    finding_of,
    findings_of,
    issue,
    parties_of,
    party_of,
    queued_of,
    standing_of,
)
from services.issuer.store import Proposal, Row, Standing
from services.issuer.typed import REASON_LENGTH, lines_of


@dataclass(frozen=True)
class DeskDecision:
    """What a person decided, and who."""

    outcome: str
    decided_at: datetime
    decider: str


async def decide_applications(
    tx: Transaction,
    batch: Sequence[Received[ApplicationSubmitted]],
    *,
    issuing: Issuing,
    outside: Mapping[UUID, tuple[OutsideFact, ...]] | None = None,
) -> None:
    """Decide what the rules can, with the answers from `outside`; leave the rest to the desk. A repeat does nothing."""
    for received in batch:
        parties_of(received.event, issuing.reference)
    # Two polls with one application want the same exposure: who waited for it sees what the other has recorded.
    exposures = await store.lock_exposures(tx, (party_of(received.event) for received in batch))
    known = await store.known(tx, (received.event.application_id for received in batch))
    new = {r.event.application_id: r for r in batch if r.event.application_id not in known}
    if not new:
        return
    now = issuing.clock.now()
    decisions: list[Decision] = []
    queued: list[tuple[ApplicationQueued, Cause]] = []
    for received in new.values():
        # Step 3: decide. Pure, over the event, the rules' version and what others answered.
        event = received.event
        facts = (outside or {}).get(event.application_id, ())
        assessment = assess(event, issuing.reference, exposures[party_of(event)], facts)
        if assessment.verdict is domain.Verdict.QUEUED:
            findings = tuple(finding_of(finding) for finding in assessment.findings)
            queued.append((queued_of(event, now, findings, facts), received.cause))
        else:
            exposures[party_of(event)] += assessment.amount_yen
            returned = findings_of(assessment.returned)
            decisions.append(Decision(event, received.cause, now, "rules", returned, outside=facts))

    async def record(standings: Mapping[UUID, Standing]) -> None:
        added = await store.add_applications(tx, [(new[identity], how) for identity, how in standings.items()])
        assert added == standings.keys(), "only who holds its exposure records an application"

    queued += [
        (queued_of(left.submitted, now, (NO_NUMBERS,), left.outside), left.cause)
        for left in await issue(tx, decisions, record=record, issuing=issuing)
    ]
    if queued:
        await record({told.application_id: standing_of(told) for told, _ in queued})
        await issuing.outbox.add(tx, queued)


async def answer_withdrawals(
    tx: Transaction, batch: Sequence[Received[WithdrawalRequested]], *, issuing: Issuing
) -> None:
    """Withdraw what still waits, proposed or not, refuse what is decided. Asked again, the first answer stands."""
    rows = await store.lock_applications(tx, {received.event.application_id for received in batch})
    now = issuing.clock.now()
    answers: dict[UUID, str] = {}
    events: list[tuple[Event, Cause]] = []
    for received in batch:
        application_id = received.event.application_id
        row = rows.get(application_id)
        if row is None:
            raise Refused("application_is_unknown")
        if row["withdrawal"] is not None or application_id in answers:
            continue
        if row["status"] == "queued":
            answers[application_id] = "withdrawn"
            events.append((ApplicationWithdrawn(application_id=application_id, withdrawn_at=now), received.cause))
        else:
            answers[application_id] = "refused"
            refused = WithdrawalRefused(application_id=application_id, refused_at=now, reason="already_decided")
            events.append((refused, received.cause))
    if answers:
        await store.set_withdrawals(tx, answers)
        await store.remove_proposals(tx, answers)
        await issuing.outbox.add(tx, events)


async def keep_data_keys(tx: Transaction, batch: Sequence[Received[DataKeyWrapped]]) -> None:
    """Keep the keys that open contact data for the desk."""
    ours = [
        (received.event, sealing.unb64(wrapped.wrapped))
        for received in batch
        for wrapped in received.event.wrapped_for
        if wrapped.reader == sealed.READER
    ]
    await store.add_data_keys(tx, ours)


async def forget_data_keys(tx: Transaction, application_ids: Sequence[str]) -> None:
    """Shredding: the contact data of these applications can be opened no more, whatever comes after."""
    try:
        ids = {UUID(key) for key in application_ids}
    except ValueError:
        raise Refused("key_is_not_an_application") from None
    await store.forget_data_keys(tx, ids)


async def decide_at_desk(
    tx: Transaction, application_id: UUID, *, principal: Principal, outcome: str, message: str, issuing: Issuing
) -> DeskDecision | Proposal:
    """A person accepts or returns a queued application, or proposes to where four eyes are needed (DESK-1).

    The same again changes nothing, whoever says it; another decision, other words, or a second proposal, is refused
    with problem 409: nobody shall think that theirs were told.
    """
    row = await _lock(tx, application_id, principal)
    if row["status"] != "queued":
        if row["desk_outcome"] == outcome and domain.typed_lines(message) in ("", row["desk_message"]):
            return _made(row)
        raise _already_decided(row)
    message = message_of(outcome, message)
    now = issuing.clock.now()
    proposal = Proposal(outcome, message, principal.account_id, principal.person, now)
    if issuing.reference.surety(principal.subject_id).desk_approval != FOUR_EYES:
        return await _decide(tx, row, proposal, principal=principal, issuing=issuing)
    standing = await store.proposal_of(tx, application_id)
    if standing is None:
        await store.add_proposal(tx, application_id, proposal)
        return proposal
    if (standing.proposed_by, standing.outcome) == (principal.account_id, outcome):
        return standing
    raise Problem(
        409,
        "already-proposed",
        "There is a proposal already: approve it or reject it.",
        detail=f"{standing.proposer}さんの起案が承認待ちです。承認するか、却下してから改めて起案してください。",
    )


def message_of(outcome: str, typed: str) -> str:
    """What the contractor is told with a decision. Problem 422 for a return without a reason (DEC-8)."""
    message = lines_of(typed, "message", longest=REASON_LENGTH)
    if outcome == "returned" and not message:
        raise invalid([FieldError("message", "DEC-8", "差し戻しの理由を入力してください。", "Say why it is returned.")])
    return message


async def approve(
    tx: Transaction,
    application_id: UUID,
    *,
    principal: Principal,
    issuing: Issuing,
    proposed_at: datetime | None = None,
) -> DeskDecision:
    """A second person approves what another proposed; with that the application is decided (DESK-2).

    `proposed_at` is of the proposal that the person looked at: another one in its place is refused with problem 409.
    """
    row = await _lock(tx, application_id, principal)
    if row["status"] != "queued":
        if row["decided_by"] == principal.account_id:
            return _made(row)
        raise _already_decided(row)
    proposal = await _standing(tx, application_id, proposed_at)
    if proposal.proposed_by == principal.account_id:
        raise Problem(
            409,
            "same-person",
            "Another person than the one who proposed it must approve.",
            detail="ご自身が起案した内容は承認できません。別の担当者が承認してください。",
        )
    return await _decide(tx, row, proposal, principal=principal, issuing=issuing, approves=True)


async def reject(
    tx: Transaction,
    application_id: UUID,
    *,
    principal: Principal,
    message: str,
    issuing: Issuing,
    proposed_at: datetime | None = None,
) -> datetime:
    """Put a proposed application back into the queue, with a note of who and why (DESK-3). Returns when.

    The proposer may, too: nothing is decided by that.
    """
    row = await _lock(tx, application_id, principal)
    if row["status"] != "queued":
        raise _already_decided(row)
    why = lines_of(message, "message", longest=REASON_LENGTH)
    if not why:
        raise invalid([FieldError("message", "DESK-3", "却下の理由を入力してください。", "Say why it is rejected.")])
    await _standing(tx, application_id, proposed_at)
    now = issuing.clock.now()
    await store.reject_proposal(
        tx, application_id, rejected_by=principal.account_id, person=principal.person, rejected_at=now, message=why
    )
    return now


async def mark_printed(tx: Transaction, contract_number: str, *, principal: Principal, now: datetime) -> datetime:
    """Take a paper certificate off the list to print. Repeating keeps the first time."""
    printed_at: datetime | None = await store.set_printed(tx, contract_number, principal.subject_id, now)
    if printed_at is None:
        raise not_found()
    return printed_at


def not_found() -> Problem:
    return Problem(404, "not-found", "There is no such thing here.")


async def _lock(tx: Transaction, application_id: UUID, principal: Principal) -> Row:
    row = await store.lock_one(tx, application_id, principal.subject_id)
    if row is None:
        raise not_found()
    return row


async def _standing(tx: Transaction, application_id: UUID, proposed_at: datetime | None) -> Proposal:
    """The proposal of a locked application, if it is the one that was looked at."""
    proposal = await store.proposal_of(tx, application_id)
    if proposal is None or (proposed_at is not None and proposed_at != proposal.proposed_at):
        raise Problem(
            409,
            "proposal-is-gone",
            "There is no such proposal any more.",
            detail="承認待ちの起案がないか、別の起案に替わっています。画面を更新してご確認ください。",
        )
    return proposal


async def _decide(
    tx: Transaction, row: Row, wanted: Proposal, *, principal: Principal, issuing: Issuing, approves: bool = False
) -> DeskDecision:
    """Decide a locked application as one person wanted, who is `principal` unless that one `approves`."""
    application_id, outcome, message = row["id"], wanted.outcome, wanted.message
    event = ApplicationSubmitted.model_validate_json(row["submitted"])
    cause = cause_of(row)
    now = issuing.clock.now()
    # Locked as in `decide_applications`: exposure, then numbers.
    exposures = await store.lock_exposures(tx, [party_of(event)])
    hard = findings_of(assess(event, issuing.reference, exposures[party_of(event)]).returned)
    returned = hard
    if outcome == "returned":
        why = (Finding(rule="DESK", message_ja=message, message_en=message),)
        returned = {applied.product: hard.get(applied.product, why) for applied in event.products}
    # Step 3: the person's decision is a fact of its own, so that replay needs no person.
    made = DeskDecisionMade(
        application_id=application_id,
        decided_at=now,
        decided_by=principal.account_id,
        person=principal.person,
        outcome=outcome,
        message=message,
        proposed_by=wanted.proposed_by if approves else None,
        proposer=wanted.proposer if approves else None,
    )
    await issuing.outbox.add(tx, [(made, cause)])
    caused = replace(cause, causation_id=str(made.event_id))
    decision = Decision(event, caused, now, "desk", returned, message)
    if await issue(tx, [decision], record=partial(store.set_decided, tx), issuing=issuing):
        raise Problem(
            409,
            "no-numbers",
            "The branch has no contract number left for this fiscal year.",
            detail=NO_NUMBERS.message_ja,
        )
    await store.set_decided_by(tx, made)
    if not approves:
        await store.remove_proposals(tx, [application_id])
    return DeskDecision(outcome, now, principal.person)


def _made(row: Row) -> DeskDecision:
    return DeskDecision(row["desk_outcome"], row["decided_at"], row["decider"])


def _already_decided(row: Row) -> Problem:
    return Problem(409, "already-decided", "The application does not wait any more.", status_now=row["status"])


def cause_of(row: Row) -> Cause:
    """Of the chain that an application's row belongs to."""
    return Cause(row["correlation_id"], None, row["traceparent"])
