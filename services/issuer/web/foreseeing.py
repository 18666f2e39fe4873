"""What would accepting an application issue? Shown before a person does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from reference.model import Purchaser, Surety
from schemas.applications import ProductApplied, Works
from services.issuer import domain, issuance


@dataclass(frozen=True)
class Foreseen:
    """One product, as it would be decided now."""

    applied: ProductApplied
    #: None where no rate is known for it.
    fee_yen: int | None
    #: Of a product that no person can accept (DEC-1): why it would be returned all the same.
    refused: tuple[domain.Finding, ...]

    @property
    def is_electronic(self) -> bool:
        return self.applied.form == domain.ELECTRONIC


@dataclass(frozen=True)
class Foresight:
    products: tuple[Foreseen, ...]

    @property
    def issued(self) -> list[Foreseen]:
        return [product for product in self.products if not product.refused]

    @property
    def electronic(self) -> int:
        """How many certificates with a key."""
        return sum(product.is_electronic for product in self.issued)

    @property
    def paper(self) -> int:
        return len(self.issued) - self.electronic

    @property
    def amount_yen(self) -> int:
        return sum(product.applied.amount_yen for product in self.issued)

    @property
    def fee_yen(self) -> int:
        return sum(product.fee_yen or 0 for product in self.issued)

    def refusals(self, product: str) -> tuple[domain.Finding, ...]:
        return next((seen.refused for seen in self.products if seen.applied.product == product), ())


def foresee(
    works: Works, products: Sequence[ProductApplied], *, surety: Surety, purchaser: Purchaser | None, now: datetime
) -> Foresight:
    """The same rules and rates as the decision's. Fees are those of a decision today."""
    returned = (
        domain.assess(
            [domain.Request(p.product, p.form, p.amount_yen, Decimal(p.ratio_percent)) for p in products],
            works_kind=works.kind,
            contract_date=works.contract_date,
            purchaser=purchaser,
            limits=surety.limits,
            # What it adds up to sends an application to the desk, and returns no product.
            exposure_yen=0,
        ).returned
        if purchaser is not None
        else {}
    )
    return Foresight(
        tuple(
            Foreseen(applied, _fee_yen(surety, applied, now), tuple(returned.get(applied.product, ())))
            for applied in products
        )
    )


def _fee_yen(surety: Surety, applied: ProductApplied, now: datetime) -> int | None:
    try:
        return issuance.fee_of(surety, applied, now).fee_yen
    except LookupError:
        return None
