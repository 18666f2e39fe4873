"""What the issuer does when the world speaks to it. Each gets an open transaction; none commits or publishes.

The numbers of steps are those of docs/the-flow.md.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import structlog
from pydantic import TypeAdapter

from chassis import sealing
from chassis.clock import Clock, day_in_japan
from chassis.decoding import Received, Refused
from chassis.outbox import Outbox
from chassis.postgres import Transaction
from chassis.web.problems import FieldError, Problem, invalid
from chassis.web.tokens import Principal
from reference.codes import PRODUCTS
from reference.errors import NoNumberingBlocks, UnknownBranch, UnknownPurchaser, UnknownSurety
from reference.model import Purchaser, Surety, fiscal_year
from reference.reader import Reference
from schemas.applications import ApplicationSubmitted, ProductApplied, WithdrawalRequested
from schemas.certificates import CertificateIssued
from schemas.data_keys import DataKeyWrapped
from schemas.decisions import (
    ApplicationDecided,
    ApplicationQueued,
    ApplicationWithdrawn,
    DeskDecisionMade,
    Finding,
    ProductOutcome,
    WithdrawalRefused,
)
from schemas.envelope import Cause
from schemas.event import Event
from schemas.sealed import SealedKey
from services.issuer import domain, store
from services.issuer.minting import KeyMint, NumbersExhausted, certificate_id, number_at
from services.issuer.store import Guarantee, Party, Series
from services.issuer.wording import content_of

log = structlog.get_logger()

FINDINGS = TypeAdapter(tuple[Finding, ...])
READER = "issuer"
NO_NUMBERS = Finding(
    rule="NUM-5",
    message_ja="この支店の今年度の保証契約番号が残っていません。番号の追加後に引き受けてください。",
    message_en="The branch has no contract number left for this fiscal year. Accept it once there are more.",
)


@dataclass(frozen=True)
class Issuing:
    """What the handlers need besides a transaction."""

    reference: Reference
    clock: Clock
    outbox: Outbox
    mint: KeyMint


@dataclass(frozen=True)
class Decision:
    """A decided application on its way to its certificates."""

    submitted: ApplicationSubmitted
    cause: Cause
    decided_at: datetime
    decided_by: str
    #: Why a product is returned; what is not in here is accepted.
    returned: Mapping[str, tuple[Finding, ...]]
    message: str = ""


async def decide_applications(
    tx: Transaction, batch: Sequence[Received[ApplicationSubmitted]], *, issuing: Issuing
) -> None:
    """Decide what the rules can decide, and leave the rest to the desk. A repeat finds its row and does nothing."""
    for received in batch:
        _parties(received.event, issuing.reference)
    new_ids = await store.add_applications(tx, batch)
    new = list({r.event.application_id: r for r in batch if r.event.application_id in new_ids}.values())
    if not new:
        return
    exposures = await store.lock_exposures(tx, (_party(received.event) for received in new))
    now = issuing.clock.now()
    decisions: list[Decision] = []
    queued: list[tuple[ApplicationQueued, Cause]] = []
    for received in new:
        # Step 3: decide. Pure, over the event and the rules' version.
        event = received.event
        assessment = _assess(event, issuing.reference, exposures[_party(event)])
        if assessment.verdict is domain.Verdict.QUEUED:
            findings = tuple(_finding(finding) for finding in assessment.findings)
            told = ApplicationQueued(application_id=event.application_id, queued_at=now, findings=findings)
            queued.append((told, received.cause))
        else:
            exposures[_party(event)] += assessment.amount_yen
            decisions.append(Decision(event, received.cause, now, "rules", _findings(assessment.returned)))
    for decision in await issue(tx, decisions, issuing=issuing):
        told = ApplicationQueued(
            application_id=decision.submitted.application_id, queued_at=now, findings=(NO_NUMBERS,)
        )
        queued.append((told, decision.cause))
    if queued:
        await store.set_queued(
            tx, [(told.application_id, now, FINDINGS.dump_json(told.findings).decode()) for told, _ in queued]
        )
        await issuing.outbox.add(tx, queued)


async def issue(tx: Transaction, decisions: Sequence[Decision], *, issuing: Issuing) -> list[Decision]:
    """Number and issue what was accepted, and tell what was decided; return the decisions that got no number.

    When this returns and `tx` commits, numbers, key digests, certificates and outgoing events are durable together.
    Costs the same few statements for one decision and for a thousand. A branch without numbers holds up nobody else:
    its applications are left as they were (NUM-5).
    """
    # Step 4: number and key; certificate and events in one transaction.
    numbered, unnumbered = await _number(tx, decisions, issuing.reference)
    left = list(unnumbered.values())
    decisions = [decision for decision in decisions if decision.submitted.application_id not in unnumbered]
    if not decisions:
        return left
    guarantees: list[Guarantee] = []
    certificates: list[tuple[CertificateIssued, Cause]] = []
    paper_numbers: dict[tuple[UUID, str], str] = {}
    for decision, applied, number in numbered:
        event = decision.submitted
        purchaser, surety = _parties(event, issuing.reference)
        content = content_of(
            event, applied, number=number, dated=day_in_japan(decision.decided_at), purchaser=purchaser, surety=surety
        )
        canonical = content.canonical()
        content_sha256 = hashlib.sha256(canonical).hexdigest()
        identity = certificate_id(event.application_id, applied.product, content.version)
        key: SealedKey | None = None
        if applied.form == domain.ELECTRONIC:
            key = issuing.mint.mint(number, identity)
            issued = CertificateIssued(
                certificate_id=identity,
                contract_number=number,
                version=content.version,
                change_number=content.change_number,
                application_id=event.application_id,
                product=applied.product,
                surety_id=event.surety_id,
                purchaser_id=event.works.purchaser_id,
                contractor_id=event.contractor.id,
                issued_at=decision.decided_at,
                reference_version=issuing.reference.version,
                content=content,
                content_sha256=content_sha256,
                authentication_key=key,
            )
            certificates.append((issued, decision.cause))
        else:
            paper_numbers[event.application_id, applied.product] = number
        guarantees.append(
            Guarantee(
                contract_number=number,
                application_id=event.application_id,
                product=applied.product,
                surety_id=event.surety_id,
                contractor_id=event.contractor.id,
                form=applied.form,
                amount_yen=applied.amount_yen,
                issued_at=decision.decided_at,
                certificate_id=identity,
                content=canonical.decode(),
                content_sha256=content_sha256,
                key_digest=key.digest if key else None,
                pepper_id=key.pepper_id if key else None,
            )
        )
    if guarantees:
        await store.add_guarantees(tx, guarantees)
        await store.add_exposures(tx, _sums(guarantees))
    await store.set_decided(tx, [(d.submitted.application_id, d.decided_at) for d in decisions])
    decided = [(_decided(decision, paper_numbers, issuing.reference), decision.cause) for decision in decisions]
    await issuing.outbox.add(tx, [*decided, *certificates])
    return left


async def answer_withdrawals(
    tx: Transaction, batch: Sequence[Received[WithdrawalRequested]], *, issuing: Issuing
) -> None:
    """Withdraw what still waits, refuse what is decided. Asked again, the first answer stands."""
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
        await issuing.outbox.add(tx, events)


async def keep_data_keys(tx: Transaction, batch: Sequence[Received[DataKeyWrapped]]) -> None:
    """Keep the keys that open contact data for the desk."""
    ours = [
        (received.event, sealing.unb64(wrapped.wrapped))
        for received in batch
        for wrapped in received.event.wrapped_for
        if wrapped.reader == READER
    ]
    await store.add_data_keys(tx, ours)


async def forget_data_keys(tx: Transaction, application_ids: Sequence[str]) -> None:
    """Shredding: the contact data of these applications can be opened no more."""
    await store.forget_data_keys(tx, application_ids)


async def decide_at_desk(
    tx: Transaction, application_id: UUID, *, principal: Principal, outcome: str, message: str, issuing: Issuing
) -> datetime:
    """A person accepts or returns a queued application; who, is in the record. Returns when it was decided.

    The same decision again changes nothing; another one is refused with problem 409.
    """
    row = await store.lock_one(tx, application_id, principal.subject_id)
    if row is None:
        raise not_found()
    if row["status"] != "queued":
        if row["desk_outcome"] == outcome:
            decided_at: datetime = row["decided_at"]
            return decided_at
        raise Problem(409, "already-decided", "The application does not wait any more.", status_now=row["status"])
    if outcome == "returned" and not message.strip():
        raise invalid([FieldError("message", "DEC-8", "差し戻しの理由を入力してください。", "Say why it is returned.")])
    event = ApplicationSubmitted.model_validate_json(row["submitted"])
    cause = Cause(row["correlation_id"], None, row["traceparent"])
    now = issuing.clock.now()
    # Locked as in `decide_applications`: application, exposure, numbers.
    exposures = await store.lock_exposures(tx, [_party(event)])
    hard = _findings(_assess(event, issuing.reference, exposures[_party(event)]).returned)
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
    )
    await issuing.outbox.add(tx, [(made, cause)])
    caused = replace(cause, causation_id=str(made.event_id))
    if await issue(tx, [Decision(event, caused, now, "desk", returned, message)], issuing=issuing):
        raise Problem(
            409,
            "no-numbers",
            "The branch has no contract number left for this fiscal year.",
            detail=NO_NUMBERS.message_ja,
        )
    await store.set_decided_by(tx, application_id, principal.account_id, outcome)
    return now


async def mark_printed(tx: Transaction, contract_number: str, *, principal: Principal, now: datetime) -> datetime:
    """Take a paper certificate off the list to print. Repeating keeps the first time."""
    printed_at: datetime | None = await store.set_printed(tx, contract_number, principal.subject_id, now)
    if printed_at is None:
        raise not_found()
    return printed_at


def not_found() -> Problem:
    return Problem(404, "not-found", "There is no such thing here.")


async def _number(
    tx: Transaction, decisions: Sequence[Decision], reference: Reference
) -> tuple[list[tuple[Decision, ProductApplied, str]], dict[UUID, Decision]]:
    """A number for each accepted product, and the decisions for which a branch has none left."""
    accepted = [
        (decision, applied, _series(decision))
        for decision in decisions
        for applied in decision.submitted.products
        if applied.product not in decision.returned
    ]
    last = await store.draw_numbers(tx, Counter(series for _, _, series in accepted)) if accepted else {}
    numbered: list[tuple[Decision, ProductApplied, str]] = []
    unnumbered: dict[UUID, Decision] = {}
    for decision, applied, series in accepted:
        surety_id, branch_id, year = series
        last[series] += 1
        try:
            number = number_at(reference.surety(surety_id), branch_id, year, last[series])
        except (NumbersExhausted, NoNumberingBlocks):
            log.critical("numbers.exhausted", surety_id=surety_id, branch_id=branch_id, fiscal_year=year)
            unnumbered[decision.submitted.application_id] = decision
        else:
            numbered.append((decision, applied, number))
    return [row for row in numbered if row[0].submitted.application_id not in unnumbered], unnumbered


def _series(decision: Decision) -> Series:
    year = fiscal_year(day_in_japan(decision.decided_at))
    return (decision.submitted.surety_id, decision.submitted.branch_id, year)


def _assess(event: ApplicationSubmitted, reference: Reference, exposure_yen: int) -> domain.Assessment:
    purchaser, surety = _parties(event, reference)
    return domain.assess(
        [domain.Request(p.product, p.form, p.amount_yen, Decimal(p.ratio_percent)) for p in event.products],
        works_kind=event.works.kind,
        contract_date=event.works.contract_date,
        purchaser=purchaser,
        limits=surety.limits,
        exposure_yen=exposure_yen,
    )


def _parties(event: ApplicationSubmitted, reference: Reference) -> tuple[Purchaser, Surety]:
    """Who takes part. Raises `Refused` for an application that points at nobody or nothing we know."""
    if any(applied.product not in PRODUCTS for applied in event.products):
        raise Refused("product_is_unknown")
    try:
        surety = reference.surety(event.surety_id)
        surety.branch(event.branch_id)
        return reference.purchaser(event.works.purchaser_id), surety
    except UnknownSurety:
        raise Refused("surety_is_unknown") from None
    except UnknownBranch:
        raise Refused("branch_is_unknown") from None
    except UnknownPurchaser:
        raise Refused("purchaser_is_unknown") from None


def _party(event: ApplicationSubmitted) -> Party:
    return (event.surety_id, event.contractor.id)


def _finding(finding: domain.Finding) -> Finding:
    return Finding.model_validate(asdict(finding))


def _findings(returned: Mapping[str, tuple[domain.Finding, ...]]) -> dict[str, tuple[Finding, ...]]:
    return {product: tuple(map(_finding, findings)) for product, findings in returned.items()}


def _sums(guarantees: Sequence[Guarantee]) -> dict[Party, int]:
    sums: Counter[Party] = Counter()
    for guarantee in guarantees:
        sums[guarantee.surety_id, guarantee.contractor_id] += guarantee.amount_yen
    return dict(sums)


def _decided(
    decision: Decision, paper_numbers: Mapping[tuple[UUID, str], str], reference: Reference
) -> ApplicationDecided:
    event = decision.submitted
    return ApplicationDecided(
        application_id=event.application_id,
        decided_at=decision.decided_at,
        decided_by=decision.decided_by,
        rules_version=domain.RULES_VERSION,
        reference_version=reference.version,
        outcomes=tuple(
            ProductOutcome(
                product=applied.product,
                form=applied.form,
                outcome="returned" if applied.product in decision.returned else "accepted",
                reasons=decision.returned.get(applied.product, ()),
                contract_number=paper_numbers.get((event.application_id, applied.product)),
            )
            for applied in event.products
        ),
        message=decision.message,
    )
