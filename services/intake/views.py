"""What contractors read: their applications and guarantees. Nothing of a certificate shows before it has arrived."""

import json
from collections import defaultdict
from datetime import date, datetime
from typing import Any
from uuid import UUID

from asyncpg import Record
from pydantic import BaseModel, Field

from chassis.postgres import Transaction
from chassis.web.paging import page_of, read_cursor
from reference.codes import PRODUCTS
from schemas.applications import ApplicationSubmitted
from schemas.decisions import Fee, Finding
from schemas.sealed import Contact
from services.intake import domain, handlers, store


class Mail(BaseModel):
    """What became of the completion mail."""

    outcome: str = Field(description="`sent` or `undeliverable`")
    at: datetime
    reason: str | None


class ProductStanding(BaseModel):
    """One product of an application, as it stands."""

    product: str
    product_name: str
    form: str
    status: str = Field(description=", ".join(domain.STATUS_JA))
    status_ja: str = Field(description="手続状況")
    amount_yen: int
    ratio_percent: str
    reasons: list[Finding]
    contract_number: str | None = Field(description="保証契約番号; only once the certificate has arrived")
    registered_at: datetime | None = Field(description="電子保証発行日時: arrival where the purchaser sees it")
    mail: Mail | None
    fee: Fee | None = Field(description="保証料, once accepted")


class Standing(BaseModel):
    """An application as it stands."""

    application_id: UUID
    status: str
    status_ja: str
    submitted_at: datetime
    surety_id: str
    works_name: str
    purchaser_id: str
    contract_date: date
    replaces: UUID | None
    products: list[ProductStanding]
    withdrawal: str | None = Field(description="`withdrawn` or `refused`, once answered")
    message: str = Field(description="弊社からお客様へのお知らせ")

    @property
    def again(self) -> set[str]:
        """Products that may be applied for again in this one's place (APP-3, APP-9)."""
        return {product.product for product in self.products if product.status in ("returned", "withdrawn")}


class Application(Standing):
    """One application with everything that was sent."""

    submitted: dict[str, Any] = Field(description="ApplicationSubmitted, without its sealed part")
    contact: Contact | None = Field(description="None once shredded")


class Applications(BaseModel):
    items: list[Standing]
    next_cursor: str | None


class Guarantee(BaseModel):
    """A line of 保証契約一覧."""

    contract_number: str
    product: str
    product_name: str
    form: str
    application_id: UUID
    purchaser_id: str
    works_name: str
    price_yen: int
    registered_at: datetime | None
    mail: Mail | None


class Guarantees(BaseModel):
    items: list[Guarantee]
    next_cursor: str | None


class HistoryEntry(BaseModel):
    """A line of 電子保証情報（履歴情報）."""

    no: int
    registered_at: datetime = Field(description="電子保証発行日時")
    kind: str = Field(description="対象: `new` 新規")
    version: int
    change_number: int
    content: dict[str, Any] = Field(description="The certificate, identical to what the purchaser sees")
    content_sha256: str


class GuaranteeDetail(BaseModel):
    """電子保証履歴一覧: the latest state and its history. The key has an endpoint of its own."""

    contract_number: str
    application_id: UUID
    surety_id: str
    purchaser_id: str
    product: str
    product_name: str
    overview: dict[str, Any] = Field(description="The latest certificate")
    history: list[HistoryEntry]
    mail: Mail | None
    views: int
    last_viewed_at: datetime | None


async def application(
    tx: Transaction, application_id: UUID, contractor_id: str, *, taking: handlers.Taking
) -> Application | None:
    row = await store.application(tx, application_id, contractor_id)
    if row is None:
        return None
    products = await store.products(tx, [application_id])
    submitted = ApplicationSubmitted.model_validate_json(row["submitted"])
    return Application(
        **_standing(row, products).model_dump(),
        submitted=submitted.model_dump(mode="json", exclude={"contact"}),
        contact=handlers.open_contact(submitted, row["wrapped_data_key"], taking=taking),
    )


async def applications(
    tx: Transaction, contractor_id: str, *, cursor: str | None, limit: int, surety_id: str | None = None
) -> Applications:
    """Newest first; those sent to one surety, where one is named."""
    (after,) = read_cursor(cursor, UUID)
    rows = await store.applications(tx, contractor_id, after, limit + 1, surety_id)
    products: defaultdict[UUID, list[Record]] = defaultdict(list)
    for product in await store.products(tx, [row["id"] for row in rows[:limit]]):
        products[product["application_id"]].append(product)
    return Applications(
        items=[_standing(row, products[row["id"]]) for row in rows[:limit]],
        next_cursor=page_of(rows, limit, lambda row: (row["id"],)),
    )


async def guarantees(tx: Transaction, contractor_id: str, *, cursor: str | None, limit: int) -> Guarantees:
    after = read_cursor(cursor, UUID, product_code)
    rows = await store.guarantees(tx, contractor_id, after, limit + 1)
    items = []
    for row in rows[:limit]:
        submitted = ApplicationSubmitted.model_validate_json(row["submitted"])
        items.append(
            Guarantee(
                contract_number=row["contract_number"],
                product=row["product"],
                product_name=PRODUCTS[row["product"]].full,
                form=row["form"],
                application_id=row["application_id"],
                purchaser_id=submitted.works.purchaser_id,
                works_name=submitted.works.name,
                price_yen=submitted.works.price_yen,
                registered_at=row["registered_at"],
                mail=_mail(row),
            )
        )
    return Guarantees(
        items=items, next_cursor=page_of(rows, limit, lambda row: (row["application_id"], row["product"]))
    )


async def guarantee(tx: Transaction, contract_number: str, contractor_id: str) -> GuaranteeDetail | None:
    rows = await store.history(tx, contract_number, contractor_id)
    if not rows:
        return None
    latest = rows[0]
    return GuaranteeDetail(
        contract_number=contract_number,
        application_id=latest["application_id"],
        surety_id=latest["surety_id"],
        purchaser_id=latest["purchaser_id"],
        product=latest["product"],
        product_name=PRODUCTS[latest["product"]].full,
        overview=json.loads(latest["content"]),
        history=[
            HistoryEntry(
                no=row["version"],
                registered_at=row["registered_at"],
                kind=(content := json.loads(row["content"]))["kind"],
                version=row["version"],
                change_number=row["change_number"],
                content=content,
                content_sha256=row["content_sha256"],
            )
            for row in rows
        ],
        mail=_mail(latest),
        views=sum(row["views"] for row in rows),
        last_viewed_at=max((row["last_viewed_at"] for row in rows if row["last_viewed_at"]), default=None),
    )


def _standing(row: Record, products: list[Record]) -> Standing:
    submitted = ApplicationSubmitted.model_validate_json(row["submitted"])
    status = domain.status_of(
        queued=row["queued_at"] is not None,
        decided=row["decided_at"] is not None,
        withdrawal=row["withdrawal"],
        withdrawal_requested=row["withdrawal_requested_at"] is not None,
    )
    by_product = {product["product"]: product for product in products}
    return Standing(
        application_id=submitted.application_id,
        status=status,
        status_ja=domain.STATUS_JA[status],
        submitted_at=submitted.submitted_at,
        surety_id=submitted.surety_id,
        works_name=submitted.works.name,
        purchaser_id=submitted.works.purchaser_id,
        contract_date=submitted.works.contract_date,
        replaces=submitted.replaces,
        products=[
            _product(applied.amount_yen, applied.ratio_percent, by_product[applied.product], status)
            for applied in submitted.products
        ],
        withdrawal=row["withdrawal"],
        message=row["desk_message"] or "",
    )


def _product(amount_yen: int, ratio_percent: str, row: Record, application_status: str) -> ProductStanding:
    status = domain.product_status_of(
        application_status, form=row["form"], outcome=row["outcome"], registered=row["registered_at"] is not None
    )
    return ProductStanding(
        product=row["product"],
        product_name=PRODUCTS[row["product"]].full,
        form=row["form"],
        status=status,
        status_ja=domain.STATUS_JA[status],
        amount_yen=amount_yen,
        ratio_percent=ratio_percent,
        reasons=json.loads(row["reasons"] or "[]"),
        contract_number=row["contract_number"],
        registered_at=row["registered_at"],
        mail=_mail(row),
        fee=Fee.model_validate_json(row["fee"]) if row["fee"] else None,
    )


def product_code(text: str) -> str:
    if text not in PRODUCTS:
        raise ValueError("No such product.")
    return text


def _mail(row: Record) -> Mail | None:
    return Mail(outcome=row["mail"], at=row["mail_at"], reason=row["mail_reason"]) if row["mail"] else None
