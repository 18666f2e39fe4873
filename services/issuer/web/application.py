"""What a page says about one application: the view, and what is made of it for reading."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from uuid import UUID

from reference.errors import UnknownProduct
from reference.model import Surety
from schemas.applications import Contractor, ProductApplied, Works
from services.issuer import handlers, views
from services.issuer.web.at_desk import AtDesk
from services.issuer.web.foreseeing import Foresight, foresee
from services.issuer.web.history import Entry, history_of


@dataclass(frozen=True)
class Line:
    """One product: what was asked for, and what became of it."""

    applied: ProductApplied
    outcome: views.Outcome
    #: Up to where the rules accept alone; None for a product that is not known any more.
    limit_percent: Decimal | None
    #: 支払方法 as the surety calls it.
    payment: str

    @property
    def is_over(self) -> bool:
        return self.limit_percent is not None and Decimal(self.applied.ratio_percent) > self.limit_percent


@dataclass(frozen=True)
class Seen:
    """An application before a person of the desk."""

    application: views.DeskApplication
    contractor: Contractor
    works: Works
    lines: tuple[Line, ...]
    submitted_at: datetime
    #: The returned application that this one replaces, and whether it can be opened here.
    replaces: UUID | None
    can_open_replaced: bool
    #: What accepting would issue, and for how much.
    foresight: Foresight
    #: Since when it waits, in minutes.
    waited_minutes: int
    is_own_proposal: bool

    @property
    def id(self) -> UUID:
        return self.application.application_id

    @property
    def is_open(self) -> bool:
        """Whether somebody may decide or propose."""
        return self.application.status == "queued" and self.application.proposal is None

    @property
    def amount_yen(self) -> int:
        return sum(line.applied.amount_yen for line in self.lines)

    @cached_property
    def history(self) -> list[Entry]:
        return history_of(self.application, self.submitted_at)


async def seen_of(at: AtDesk, application_id: UUID) -> Seen:
    """An application of the person's own surety. Problem 404 for any other."""
    application = await _found(at, application_id)
    if application is None:
        raise handlers.not_found()
    submitted = application.submitted
    works = Works.model_validate(submitted["works"])
    applied = [ProductApplied.model_validate(product) for product in submitted["products"]]
    reference, now = at.desk.issuing.reference, at.desk.issuing.clock.now()
    replaces = UUID(submitted["replaces"]) if submitted["replaces"] else None
    since = application.queued_at or now
    return Seen(
        application=application,
        contractor=Contractor.model_validate(submitted["contractor"]),
        works=works,
        lines=tuple(
            _line(product, outcome, at.surety) for product, outcome in zip(applied, application.outcomes, strict=True)
        ),
        submitted_at=datetime.fromisoformat(submitted["submitted_at"]),
        replaces=replaces,
        can_open_replaced=replaces is not None and await _found(at, replaces) is not None,
        foresight=foresee(
            works, applied, surety=at.surety, purchaser=reference.purchasers.get(works.purchaser_id), now=now
        ),
        waited_minutes=max(0, int((now - since).total_seconds() // 60)),
        is_own_proposal=application.proposal is not None
        and application.proposal.proposed_by == at.visit.person.account_id,
    )


async def _found(at: AtDesk, application_id: UUID) -> views.DeskApplication | None:
    return await views.application(
        at.visit.tx,
        application_id,
        at.surety.id,
        private_key=at.desk.private_key,
        reference=at.desk.issuing.reference,
    )


def _line(applied: ProductApplied, outcome: views.Outcome, surety: Surety) -> Line:
    methods = {method.code: method.label for method in surety.fee_payment_methods}
    try:
        limit = surety.limits.ratio_percent(applied.product)
    except UnknownProduct:
        limit = None
    return Line(applied, outcome, limit, methods.get(applied.fee_payment_method, applied.fee_payment_method))
