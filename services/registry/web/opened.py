"""The page of a certificate that is open in this browser, and the files that go into the purchaser's own."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from chassis.web import sessions
from chassis.web.pages import HEADERS, Elsewhere, Site, Visit
from chassis.web.problems import Problem
from chassis.web.wording import noted
from documents.certificate import certificate_file_name, certificate_pdf
from documents.certificate_view import certificate_view
from documents.html import certificate_html
from documents.receipt import ViewReceipt, view_receipt_file_name, view_receipt_pdf
from documents.rendering import CharacterNotPrintable, DoesNotFitOnePage
from reference.reader import Reference
from schemas import contract_number
from services.registry import views
from services.registry.web.looking_up import PLACE
from services.registry.web.routes import ReadingRoom

#: 対象
KINDS: Final = {"new": noted("新規"), "change": noted("変更ー%(number)s"), "correction": noted("訂正")}
#: In the signatures of the PDFs, which are in Japanese.
REASONS: Final = {"certificate": "電子証書の写しの保存", "receipt": "電子証書の照会の記録"}
#: Where no surety's profile names it.
PLATFORM: Final = "保証確認サービス"


def make_router(site: Site, room: ReadingRoom) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    shelf = _Shelf(site, room)

    @router.get(f"{PLACE}/{{number}}")
    async def show_latest(request: Request, number: str) -> Response:
        return await shelf.show(request, number, None)

    @router.get(f"{PLACE}/{{number}}/certificate.pdf")
    async def save_latest(request: Request, number: str) -> Response:
        return await shelf.save_certificate(request, number, None)

    @router.get(f"{PLACE}/{{number}}/versions/{{version}}")
    async def show_version(request: Request, number: str, version: int) -> Response:
        return await shelf.show(request, number, version)

    @router.get(f"{PLACE}/{{number}}/versions/{{version}}/certificate.pdf")
    async def save_version(request: Request, number: str, version: int) -> Response:
        return await shelf.save_certificate(request, number, version)

    @router.get(f"{PLACE}/{{number}}/receipt.pdf")
    async def save_receipt(request: Request, number: str) -> Response:
        return await shelf.save_receipt(request, number)

    return router


@dataclass(frozen=True)
class _Shelf:
    """The certificates that are open in somebody's browser. What is drawn is drawn after the transaction."""

    site: Site
    room: ReadingRoom

    async def show(self, request: Request, number: str, version: int | None) -> Response:
        async with self.site.visit(request) as visit:
            found = await self._opened(visit, number)
            shown = _version(found, version)
            sheet = certificate_html(certificate_view(shown.content, registered_at=shown.registered_at))
            return visit.page("opened.html", opened=found, shown=shown, sheet=sheet, kinds=KINDS)

    async def save_certificate(self, request: Request, number: str, version: int | None) -> Response:
        async with self.site.visit(request) as visit:
            shown = _version(await self._opened(visit, number), version)
        return await self._pdf(
            lambda: certificate_pdf(shown.content, registered_at=shown.registered_at),
            name=certificate_file_name(shown.content),
            reason=REASONS["certificate"],
        )

    async def save_receipt(self, request: Request, number: str) -> Response:
        async with self.site.visit(request) as visit:
            receipt = _receipt(await self._opened(visit, number), visit, self.room.reference)
        return await self._pdf(
            lambda: view_receipt_pdf(receipt), name=view_receipt_file_name(receipt), reason=REASONS["receipt"]
        )

    async def _opened(self, visit: Visit, number: str) -> views.Opened:
        """Asks for number and key where it is not open, whoever's it is. Problem 404 for what can be no number."""
        if not contract_number.is_well_formed(number):
            raise _not_found()
        found = await views.opened(
            visit.tx,
            number,
            principal=visit.person,
            session=sessions.digest(visit.token),
            registering=self.room.registering,
        )
        if found is None:
            raise Elsewhere(f"{PLACE}?number={number}&closed=yes")
        return found

    async def _pdf(self, draw: Callable[[], bytes], *, name: str, reason: str) -> Response:
        """A signed PDF to save. Problem 409 for a name that no font can print."""
        try:
            drawn = await asyncio.to_thread(draw)
        except (CharacterNotPrintable, DoesNotFitOnePage) as error:
            raise Problem(
                409,
                "not-printable",
                f"The PDF cannot be drawn: {type(error).__name__}.",
                detail=self.site.wording.gettext(
                    "印刷できない文字があるか、文字数が多いため、PDFを作成できません。画面の「印刷」ボタンをご利用ください。"
                ),
            ) from None
        signed = await self.room.signer.sign(drawn, reason=reason, at=self.room.runtime.clock.now())
        return Response(
            signed,
            media_type="application/pdf",
            headers={**HEADERS, "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"},
        )


def _version(opened: views.Opened, number: int | None) -> views.Version:
    shown = opened.version(number)
    if shown is None:
        raise _not_found()
    return shown


def _receipt(opened: views.Opened, visit: Visit, reference: Reference) -> ViewReceipt:
    """Of the look itself: what it showed, even where another version is the latest by now."""
    content = opened.looked_at.content
    surety = reference.sureties.get(opened.looked_at.surety_id)
    purchaser = reference.purchasers.get(visit.person.subject_id)
    return ViewReceipt(
        contract_number=content.contract_number,
        product_name=content.product_name,
        beneficiary=content.beneficiary,
        contractor_name=content.contractor_name,
        works_name=content.works_name,
        amount_yen=content.amount_yen,
        content_sha256=opened.looked_at.content_sha256,
        registered_at=opened.looked_at.registered_at,
        viewed_at=opened.viewed_at,
        viewed_by_person=visit.person.person,
        purchaser_name=purchaser.name if purchaser else content.beneficiary,
        surety_name=content.guarantor.name,
        viewing_platform_name=surety.viewing_platform_name if surety else PLATFORM,
        specimen=content.specimen,
    )


def _not_found() -> Problem:
    return Problem(404, "http", "Not Found")
