"""保証契約一覧 and what follows from it: history, key, handing in, fees."""

from collections.abc import Mapping
from datetime import date
from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from chassis.web.pages import Site
from chassis.web.wording import noted
from reference.codes import ADVANCE_PAYMENT, INTERIM_PAYMENT, PERFORMANCE, PRODUCTS, SUBMISSION_CHANNELS
from schemas.certificates import CertificateContent
from services.intake import handlers, store, views
from services.intake.listing import views as listing
from services.intake.web.documents import Printer
from services.intake.web.pages import AtPortal, at_portal
from services.intake.web.routes import Counter

APPLIED, ELECTRONIC, BID_BOND = "applied", "electronic", "bid-bond"
TABS: Final[Mapping[str, str]] = {
    APPLIED: noted("保証申込"),
    ELECTRONIC: noted("電子保証 (認証キー)"),
    BID_BOND: noted("契約保証予約 (入札ボンド)"),
}
#: What handing in number and key completes (SUB-7, NOT-4).
COMPLETES: Final[Mapping[str, str]] = {
    ADVANCE_PAYMENT: noted("前払金請求手続"),
    INTERIM_PAYMENT: noted("中間前払金請求手続"),
    PERFORMANCE: noted("請負契約締結手続"),
}
#: When (SUB-8).
WHEN: Final[Mapping[str, str]] = {
    ADVANCE_PAYMENT: noted("前払金請求時"),
    INTERIM_PAYMENT: noted("中間前払金請求時"),
    PERFORMANCE: noted("契約時"),
}
NO_DAY: Final = noted("日付を正しく入力してください。")
BACKWARDS: Final = noted("期間の終わりが始まりより前です。")
MOST_PAGES: Final = 10**6


async def of_surety(at: AtPortal, typed: str) -> views.GuaranteeDetail:
    """A guarantee of this contractor's at this surety. Problem 404 for any other."""
    found = await views.guarantee(at.visit.tx, handlers.read_number(typed), at.visit.person.subject_id)
    if found is None or found.surety_id != at.surety.id:
        raise handlers.not_found()
    return found


def page_number(request: Request) -> int:
    typed = request.query_params.get("page", "1")
    # As many digits as the largest has, so that no number is too long to be read.
    page = int(typed) if typed.isascii() and typed.isdigit() and len(typed) <= len(str(MOST_PAGES)) else 1
    return page if 0 < page <= MOST_PAGES else 1


def make_router(site: Site, counter: Counter, printer: Printer) -> APIRouter:
    router = APIRouter(include_in_schema=False, prefix="/contractor/{surety_id}")
    taking = counter.taking

    @router.get("/guarantees")
    async def show_list(request: Request, surety_id: str) -> Response:
        async with at_portal(site, counter, request, surety_id) as at:
            return await _show_list(at, request, counter)

    @router.get("/guarantees/{number}")
    async def show_guarantee(request: Request, surety_id: str, number: str) -> Response:
        async with at_portal(site, counter, request, surety_id) as at:
            found = await of_surety(at, number)
            return at.page("guarantee.html", guarantee=found, content=_latest(found), key=None)

    @router.get("/guarantees/{number}/key")
    async def leave_key(request: Request, surety_id: str, number: str) -> Response:
        """The address of a page that showed the key; whoever comes back to it has to ask again."""
        async with at_portal(site, counter, request, surety_id) as at:
            return at.go(f"guarantees/{(await of_surety(at, number)).contract_number}")

    @router.post("/guarantees/{number}/key")
    async def show_key(request: Request, surety_id: str, number: str) -> Response:
        """The one page that answers a POST itself: the key is for this answer, and no address leads to it."""
        async with at_portal(site, counter, request, surety_id) as at:
            found = await of_surety(at, number)
            key = await handlers.disclose_key(
                at.visit.tx, found.contract_number, principal=at.visit.person, taking=taking
            )
            return at.page("guarantee.html", guarantee=found, content=_latest(found), key=key)

    @router.post("/guarantees/{number}/key-notice.pdf")
    async def print_key(request: Request, surety_id: str, number: str) -> Response:
        async with at_portal(site, counter, request, surety_id) as at:
            found = await of_surety(at, number)
            key = await handlers.disclose_key(
                at.visit.tx, found.contract_number, principal=at.visit.person, taking=taking
            )
        return await printer.key_notice(found, key)

    @router.get("/guarantees/{number}/submission")
    async def show_submission(request: Request, surety_id: str, number: str) -> Response:
        async with at_portal(site, counter, request, surety_id) as at:
            return await _show_submission(at, await of_surety(at, number), counter)

    @router.get("/fee-statements")
    async def list_fees(request: Request, surety_id: str) -> Response:
        async with at_portal(site, counter, request, surety_id) as at:
            found = await listing.fees(
                at.visit.tx,
                at.visit.person.subject_id,
                at.surety.id,
                page=page_number(request),
                reference=taking.reference,
            )
            methods = {method.code: method.label for method in at.surety.fee_payment_methods}
            return at.page("fees.html", found=found, methods=methods, products=PRODUCTS, page_path="?page=")

    @router.get("/fee-statements/{number}/fee-statement.pdf")
    async def print_fee(request: Request, surety_id: str, number: str) -> Response:
        async with at_portal(site, counter, request, surety_id) as at:
            number = handlers.read_number(number)
            fee = await listing.fee(at.visit.tx, at.visit.person.subject_id, number, reference=taking.reference)
            if fee is None or fee.surety_id != at.surety.id or not fee.is_electronic(at.surety):
                raise handlers.not_found()
        return await printer.fee_statement(fee)

    return router


async def _show_list(at: AtPortal, request: Request, counter: Counter) -> Response:
    query = request.query_params
    tab = query.get("tab", APPLIED) if query.get("tab") in TABS else APPLIED
    typed = {name: query.get(name, "").strip() for name in ("product", "from", "to", "works")}
    from_day, to_day = _day(typed["from"]), _day(typed["to"])
    faults = {
        name: [at.visit.site.wording.gettext(NO_DAY)]
        for name, day in (("from", from_day), ("to", to_day))
        if typed[name] and day is None
    }
    if from_day and to_day and to_day < from_day:
        faults["to"] = [at.visit.site.wording.gettext(BACKWARDS)]
    found = None
    if not faults and tab != BID_BOND:
        wanted = listing.Wanted(
            arrived_only=tab == ELECTRONIC,
            product=typed["product"] if typed["product"] in PRODUCTS else None,
            from_day=from_day,
            to_day=to_day,
            works_name=typed["works"][:200],
        )
        found = await listing.search(
            at.visit.tx,
            at.visit.person.subject_id,
            at.surety.id,
            wanted,
            page=page_number(request),
            reference=counter.taking.reference,
        )
    given = {name: value for name, value in typed.items() if value}
    return at.page(
        "guarantees.html",
        status=422 if faults else 200,
        tab=tab,
        tabs=TABS,
        typed=typed,
        faults=faults,
        found=found,
        products=PRODUCTS,
        is_search=bool(given),
        tab_path=lambda other: "?" + urlencode({"tab": other, **given}),
        page_path="?" + urlencode({"tab": tab, **given}) + "&page=",
    )


async def _show_submission(at: AtPortal, guarantee: views.GuaranteeDetail, counter: Counter) -> Response:
    content = _latest(guarantee)
    purchaser = counter.taking.reference.purchasers.get(guarantee.purchaser_id)
    siblings = [
        row
        for row in await store.products(at.visit.tx, [guarantee.application_id])
        if row["registered_at"] is not None and row["product"] != guarantee.product
    ]
    subject = None
    if purchaser is not None:
        subject = purchaser.submission.subject(
            works_name=content.works_name,
            contract_number=content.contract_number,
            contractor_name=content.contractor_name,
        )
    return at.page(
        "submission.html",
        guarantee=guarantee,
        content=content,
        purchaser=purchaser,
        subject=subject,
        siblings=siblings,
        channels=SUBMISSION_CHANNELS,
        products=PRODUCTS,
        completes=COMPLETES,
        when=WHEN,
    )


def _latest(guarantee: views.GuaranteeDetail) -> CertificateContent:
    return CertificateContent.model_validate(guarantee.overview)


def _day(typed: str) -> date | None:
    """A day as browsers send it, or as people write it where there is no calendar."""
    try:
        return date.fromisoformat(typed.replace("/", "-"))
    except ValueError:
        return None
