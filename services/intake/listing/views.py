"""保証契約一覧 and 保証料計算書一覧 at one surety, page by page: what contractors look for, and what is found."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from chassis.clock import JST
from chassis.postgres import Transaction
from reference.codes import E_NET
from reference.model import Surety
from reference.reader import Reference
from schemas.applications import ApplicationSubmitted
from schemas.decisions import Fee
from services.intake import domain
from services.intake.listing import store

ROWS_PER_PAGE: Final = 20
#: Before anything here; days that no clock can hold begin earlier still.
LONG_AGO: Final = date(1900, 1, 1)
#: 一括納付 (保証料一括納付制度), as sureties' profiles call it.
LUMP_SUM: Final = "lump_sum"

Row = TypeVar("Row")


@dataclass(frozen=True)
class Wanted:
    """What is searched for. All of it may be left out."""

    #: Only what has arrived where the purchaser looks, by the day it did; else everything, by the day of application.
    arrived_only: bool
    product: str | None = None
    from_day: date | None = None
    to_day: date | None = None
    works_name: str = ""


@dataclass(frozen=True)
class Page(Generic[Row]):
    """A page of a list: 全1ページ(8件)中の1ページ目."""

    rows: Sequence[Row]
    count: int
    number: int

    @property
    def pages(self) -> int:
        return max(1, -(-self.count // ROWS_PER_PAGE))

    @property
    def first_no(self) -> int:
        """「No.」 of its first row."""
        return (self.number - 1) * ROWS_PER_PAGE + 1


@dataclass(frozen=True)
class Line:
    """A row of 保証契約一覧."""

    application_id: UUID
    product: str
    form: str
    contract_number: str | None
    #: 発注者名: the office, as the certificate has it.
    purchaser_title: str
    works_name: str
    price_yen: int
    status_ja: str
    registered_at: datetime | None


@dataclass(frozen=True)
class FeeOfGuarantee:
    """保証料 of one guarantee: a row of 保証料計算書一覧, and all that its statement says."""

    contract_number: str
    product: str
    surety_id: str
    contractor_name: str
    works_name: str
    purchaser_title: str
    amount_yen: int
    fee: Fee
    payment_method: str
    bill_to: str
    on_paper: bool
    #: In Japan's time.
    decided_on: date

    def is_electronic(self, surety: Surety) -> bool:
        """Whether there is a statement to fetch: at e-Net for users of 保証料一括納付制度 only (FEE-1, FEE-4)."""
        return surety.family != E_NET or self.payment_method == LUMP_SUM


async def search(
    tx: Transaction, contractor_id: str, surety_id: str, wanted: Wanted, *, page: int, reference: Reference
) -> Page[Line]:
    """Newest first. A page beyond the last one is empty."""
    days = (_midnight(wanted.from_day), _midnight(wanted.to_day, later=1))
    found = (contractor_id, surety_id, wanted.arrived_only, wanted.product, *days, wanted.works_name)
    count, rows = await store.searched(tx, found, page=page, rows_per_page=ROWS_PER_PAGE)
    lines = []
    for row in rows:
        submitted = ApplicationSubmitted.model_validate_json(row["submitted"])
        content = json.loads(row["content"] or "{}")
        lines.append(
            Line(
                application_id=row["application_id"],
                product=row["product"],
                form=row["form"],
                contract_number=row["contract_number"],
                purchaser_title=content.get("beneficiary") or _title_of(submitted.works.purchaser_id, reference),
                works_name=content.get("works_name") or submitted.works.name,
                price_yen=content.get("price_yen") or submitted.works.price_yen,
                status_ja=domain.STATUS_JA[_status(row)],
                registered_at=row["registered_at"],
            )
        )
    return Page(lines, count, page)


async def fees(
    tx: Transaction, contractor_id: str, surety_id: str, *, page: int, reference: Reference
) -> Page[FeeOfGuarantee]:
    count, rows = await store.fees(tx, contractor_id, surety_id, None, page=page, rows_per_page=ROWS_PER_PAGE)
    return Page([_fee(row, reference) for row in rows], count, page)


async def fee(tx: Transaction, contractor_id: str, number: str, *, reference: Reference) -> FeeOfGuarantee | None:
    """The fee of one guarantee, if its number may be shown and it has one."""
    _, rows = await store.fees(tx, contractor_id, None, number, page=1, rows_per_page=1)
    return _fee(rows[0], reference) if rows else None


def _fee(row: Any, reference: Reference) -> FeeOfGuarantee:
    submitted = ApplicationSubmitted.model_validate_json(row["submitted"])
    content = json.loads(row["content"] or "{}")
    applied = next(applied for applied in submitted.products if applied.product == row["product"])
    return FeeOfGuarantee(
        contract_number=row["contract_number"],
        product=row["product"],
        surety_id=submitted.surety_id,
        contractor_name=content.get("contractor_name") or submitted.contractor.name,
        works_name=content.get("works_name") or submitted.works.name,
        purchaser_title=content.get("beneficiary") or _title_of(submitted.works.purchaser_id, reference),
        amount_yen=content.get("amount_yen") or applied.amount_yen,
        fee=Fee.model_validate_json(row["fee"]),
        payment_method=applied.fee_payment_method,
        bill_to=applied.fee_bill_to,
        on_paper=applied.fee_statement_on_paper,
        decided_on=row["decided_at"].astimezone(JST).date(),
    )


def _title_of(purchaser_id: str, reference: Reference) -> str:
    purchaser = reference.purchasers.get(purchaser_id)
    return purchaser.title if purchaser else purchaser_id


def _status(row: Any) -> str:
    """手続状況 of a product."""
    application = domain.status_of(
        queued=row["queued_at"] is not None,
        decided=row["decided_at"] is not None,
        withdrawal=row["withdrawal"],
        withdrawal_requested=row["withdrawal_requested_at"] is not None,
    )
    return domain.product_status_of(
        application, form=row["form"], outcome=row["outcome"], registered=row["registered_at"] is not None
    )


def _midnight(day: date | None, *, later: int = 0) -> datetime | None:
    """The first moment of a day in Japan, or of one `later`."""
    if day is None or (later and day == date.max):
        return None
    return datetime.combine(max(day, LONG_AGO) + timedelta(days=later), time(), JST)
