"""How an application is assessed, and how what was accepted gets number, key, fee and certificate."""

import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import structlog
from pydantic import TypeAdapter

from chassis.clock import Clock, day_in_japan
from chassis.decoding import Refused
from chassis.outbox import Outbox
from chassis.postgres import Transaction
from reference.codes import PRODUCTS
from reference.errors import NoNumberingBlocks, UnknownBranch, UnknownPurchaser, UnknownSurety
from reference.model import Purchaser, Surety, fiscal_year
from reference.reader import Reference
from schemas.applications import ApplicationSubmitted, ProductApplied
from schemas.certificates import CertificateIssued
from schemas.decisions import ApplicationDecided, ApplicationQueued, Fee, FeeLine, Finding, OutsideFact, ProductOutcome
from schemas.envelope import Cause
from schemas.sealed import SealedKey
from services.issuer import domain, store
from services.issuer.minting import KeyMint, NumbersExhausted, certificate_id, number_at
from services.issuer.store import Guarantee, Party, Series, Standing
from services.issuer.wording import content_of

log = structlog.get_logger()

FINDINGS: Final = TypeAdapter(tuple[Finding, ...])
NO_NUMBERS: Final = Finding(
    rule="NUM-5",
    message_ja="この支店の今年度の保証契約番号が残っていません。番号の追加後に引き受けてください。",
    message_en="The branch has no contract number left for this fiscal year. Accept it once there are more.",
)
OUTCOMES: Final = TypeAdapter(tuple[ProductOutcome, ...])


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
    #: What others answered before the rules decided.
    outside: tuple[OutsideFact, ...] = ()


#: Records of applications how they stand: decided.
Record = Callable[[Mapping[UUID, Standing]], Awaitable[Any]]


async def issue(tx: Transaction, decisions: Sequence[Decision], *, record: Record, issuing: Issuing) -> list[Decision]:
    """Number and issue what was accepted, and tell what was decided; return the decisions that got no number.

    When this returns and `tx` commits, numbers, key digests, certificates and outgoing events are durable together.
    Costs the same few statements for one decision and for a thousand. A branch without numbers holds up nobody else:
    its applications are left as they were (NUM-5).
    """
    # Step 4: number, key and fee; certificate and events in one transaction.
    numbered, unnumbered = await _number(tx, decisions, issuing.reference)
    left = list(unnumbered.values())
    decisions = [decision for decision in decisions if decision.submitted.application_id not in unnumbered]
    if not decisions:
        return left
    guarantees: dict[tuple[UUID, str], Guarantee] = {}
    certificates: list[tuple[CertificateIssued, Cause]] = []
    fees: dict[tuple[UUID, str], Fee] = {}
    recipient = issuing.mint.recipient()
    for decision, applied, number in numbered:
        event = decision.submitted
        purchaser, surety = parties_of(event, issuing.reference)
        dated = day_in_japan(decision.decided_at)
        content = content_of(event, applied, number=number, dated=dated, purchaser=purchaser, surety=surety)
        canonical = content.canonical()
        content_sha256 = hashlib.sha256(canonical).hexdigest()
        identity = certificate_id(event.application_id, applied.product, content.version)
        fee = fees[event.application_id, applied.product] = fee_of(surety, applied, decision.decided_at)
        key: SealedKey | None = None
        if applied.form == domain.ELECTRONIC:
            key = issuing.mint.mint(number, identity, recipient=recipient)
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
        guarantees[event.application_id, applied.product] = Guarantee(
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
            fee=fee.model_dump_json(),
        )
    decided = [(_decided(decision, guarantees, fees, issuing.reference), decision.cause) for decision in decisions]
    await record({event.application_id: standing_of(event) for event, _ in decided})
    if guarantees:
        await store.add_guarantees(tx, list(guarantees.values()))
        await store.add_exposures(tx, sums_of(guarantees.values()))
    await issuing.outbox.add(tx, [*decided, *certificates])
    return left


def fee_of(surety: Surety, applied: ProductApplied, decided_at: datetime) -> Fee:
    """保証料 as the surety's table has it on the decision's day in Japan (FEE-6)."""
    fee = surety.fee(applied.product, applied.amount_yen, day_in_japan(decided_at))
    lines = tuple(
        FeeLine(base_yen=line.base_yen, rate_percent=str(line.rate_percent), fee_yen=line.fee_yen) for line in fee.lines
    )
    return Fee(lines=lines, fee_yen=fee.fee_yen)


def parties_of(event: ApplicationSubmitted, reference: Reference) -> tuple[Purchaser, Surety]:
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


def party_of(event: ApplicationSubmitted) -> Party:
    """Whose exposure the application counts to."""
    return (event.surety_id, event.contractor.id)


def assess(
    event: ApplicationSubmitted, reference: Reference, exposure_yen: int, outside: Sequence[OutsideFact] = ()
) -> domain.Assessment:
    """What the rules make of an application. Raises `Refused` as `parties_of` does."""
    purchaser, surety = parties_of(event, reference)
    return domain.assess(
        [domain.Request(p.product, p.form, p.amount_yen, Decimal(p.ratio_percent)) for p in event.products],
        works_kind=event.works.kind,
        contract_date=event.works.contract_date,
        purchaser=purchaser,
        limits=surety.limits,
        exposure_yen=exposure_yen,
        answers={fact.source: fact.answer for fact in outside},
    )


def finding_of(finding: domain.Finding) -> Finding:
    return Finding.model_validate(asdict(finding))


def findings_of(returned: Mapping[str, tuple[domain.Finding, ...]]) -> dict[str, tuple[Finding, ...]]:
    return {product: tuple(map(finding_of, findings)) for product, findings in returned.items()}


async def _number(
    tx: Transaction, decisions: Sequence[Decision], reference: Reference
) -> tuple[list[tuple[Decision, ProductApplied, str]], dict[UUID, Decision]]:
    """A number for each accepted product, and the decisions for which a branch has none left."""
    accepted = [
        (decision, applied, series_of(decision.submitted, decision.decided_at))
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


def series_of(event: ApplicationSubmitted, decided_at: datetime) -> Series:
    """From which series the numbers of an application are."""
    return (event.surety_id, event.branch_id, fiscal_year(day_in_japan(decided_at)))


def sums_of(guarantees: Iterable[Guarantee]) -> dict[Party, int]:
    """What guarantees add to each exposure, in yen."""
    sums: Counter[Party] = Counter()
    for guarantee in guarantees:
        sums[guarantee.surety_id, guarantee.contractor_id] += guarantee.amount_yen
    return dict(sums)


def standing_of(told: ApplicationDecided | ApplicationQueued) -> Standing:
    """How an application stands of which this is told."""
    if isinstance(told, ApplicationQueued):
        return Standing(queued_at=told.queued_at, findings=FINDINGS.dump_json(told.findings).decode())
    outcomes = OUTCOMES.dump_json(told.outcomes).decode()
    return Standing(decided_at=told.decided_at, outcomes=outcomes, message=told.message)


def queued_of(
    event: ApplicationSubmitted, now: datetime, findings: tuple[Finding, ...], outside: tuple[OutsideFact, ...]
) -> ApplicationQueued:
    """What is told when an application waits at the desk."""
    return ApplicationQueued(
        application_id=event.application_id, queued_at=now, findings=findings, outside_facts=outside
    )


def _decided(
    decision: Decision,
    guarantees: Mapping[tuple[UUID, str], Guarantee],
    fees: Mapping[tuple[UUID, str], Fee],
    reference: Reference,
) -> ApplicationDecided:
    event = decision.submitted
    outcomes = []
    for applied in event.products:
        place = (event.application_id, applied.product)
        # The number of an electronic one travels with its certificate only.
        on_paper = applied.form != domain.ELECTRONIC and place in guarantees
        outcomes.append(
            ProductOutcome(
                product=applied.product,
                form=applied.form,
                outcome="returned" if applied.product in decision.returned else "accepted",
                reasons=decision.returned.get(applied.product, ()),
                contract_number=guarantees[place].contract_number if on_paper else None,
                fee=fees.get(place),
            )
        )
    return ApplicationDecided(
        application_id=event.application_id,
        decided_at=decision.decided_at,
        decided_by=decision.decided_by,
        rules_version=domain.RULES_VERSION,
        reference_version=reference.version,
        outcomes=tuple(outcomes),
        message=decision.message,
        outside_facts=decision.outside,
    )
