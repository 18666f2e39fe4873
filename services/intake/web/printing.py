"""The documents of a guarantee, for programs: the same as on the pages."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response

from chassis.web.problems import documented
from services.intake import handlers, views
from services.intake.listing import views as listing
from services.intake.web.documents import Printer, version_of
from services.intake.web.routes import Counter

_PDF: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The file", "content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}}}
}


def make_router(counter: Counter, printer: Printer) -> APIRouter:
    router = APIRouter(prefix="/api/guarantees/{number}", tags=["contractor"], default_response_class=Response)
    runtime, taking = counter.runtime, counter.taking

    @router.get(
        "/key-notice.pdf",
        summary="The file to hand to the purchaser (認証キーのお知らせ); each is recorded as a look at the key",
        responses=_PDF | documented(401, 403, 404, 409),
    )
    async def get_key_notice(request: Request, number: str) -> Response:
        async with runtime.transaction(of_one_moment=True) as tx:
            person = await counter.who(tx, request, "guarantees")
            number = handlers.read_number(number)
            key = await handlers.disclose_key(tx, number, principal=person, taking=taking)
            found = await views.guarantee(tx, number, person.subject_id)
        if found is None:
            raise handlers.not_found()
        return await printer.key_notice(found, key)

    @router.get(
        "/certificate.pdf",
        summary="The certificate for one's own file, signed; not what the purchaser wants",
        responses=_PDF | documented(401, 403, 404, 409, 422),
    )
    async def get_certificate(
        request: Request, number: str, version: Annotated[int | None, Query(ge=1, description="The latest")] = None
    ) -> Response:
        async with runtime.transaction(of_one_moment=True) as tx:
            person = await counter.who(tx, request, "guarantees")
            found = await views.guarantee(tx, handlers.read_number(number), person.subject_id)
        if found is None:
            raise handlers.not_found()
        return await printer.certificate(version_of(found, version))

    @router.get(
        "/fee-statement.pdf",
        summary="How the fee comes about (保証料計算書); rates are illustrative",
        responses=_PDF | documented(401, 403, 404, 409),
    )
    async def get_fee_statement(request: Request, number: str) -> Response:
        async with runtime.transaction(of_one_moment=True) as tx:
            person = await counter.who(tx, request, "guarantees")
            number = handlers.read_number(number)
            found = await listing.fee(tx, person.subject_id, number, reference=taking.reference)
        if found is None or not found.is_electronic(taking.reference.surety(found.surety_id)):
            raise handlers.not_found()
        return await printer.fee_statement(found)

    return router
