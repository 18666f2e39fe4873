"""The page of a certificate that is open in this browser, and the files that go into the purchaser's own."""

import asyncio
import json
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
from documents.receipt import LogEntry, ViewReceipt, view_receipt_file_name, view_receipt_pdf
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

    @router.get(f"{PLACE}/{{number}}/proof.json")
    async def save_latest_proof(request: Request, number: str) -> Response:
        return await shelf.save_proof(request, number, None)

    @router.get(f"{PLACE}/{{number}}/versions/{{version}}/proof.json")
    async def save_proof(request: Request, number: str, version: int) -> Response:
        return await shelf.save_proof(request, number, version)

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
            proof = await shown.proof(visit.tx)
            return visit.page("opened.html", opened=found, shown=shown, sheet=sheet, kinds=KINDS, proof=proof)

    async def save_proof(self, request: Request, number: str, version: int | None) -> Response:
        """`akashi-proof/1`, to be kept: it needs us no more. Problem 409 for the seconds until there is one."""
        async with self.site.visit(request) as visit:
            shown = _version(await self._opened(visit, number), version)
            proof = await shown.proof(visit.tx)
        if proof is None:
            raise Problem(
                409,
                "not-signed-yet",
                "No checkpoint covers it yet.",
                detail=self.site.wording.gettext(
                    "記録の証明はまだ作成されていません。数秒後にもう一度お試しください。"
                ),
                headers={"Retry-After": "2"},
            )
        name = f"記録の証明_{number}_{shown.number}.json"
        return _file(
            json.dumps(proof.document, ensure_ascii=False, indent=1) + "\n", name=name, media_type="application/json"
        )

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
            opened = await self._opened(visit, number)
            receipt = _receipt(opened, visit, self.room.reference, await _log_entry(opened, visit))
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
        return _file(signed, name=name, media_type="application/pdf")


def _file(content: str | bytes, *, name: str, media_type: str) -> Response:
    """A file to save."""
    return Response(
        content,
        media_type=media_type,
        headers={**HEADERS, "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"},
    )


async def _log_entry(opened: views.Opened, visit: Visit) -> LogEntry | None:
    """Where certificate and look are in the log: both under one checkpoint, or nothing yet."""
    registration = await opened.looked_at.proof(visit.tx)
    look = await opened.proof_of_look(visit.tx, principal=visit.person)
    if registration is None or look is None:
        return None
    checkpoint = look.signed.checkpoint
    return LogEntry(
        origin=checkpoint.origin,
        registration_index=registration.index,
        view_index=look.index,
        size=checkpoint.size,
        root_sha256=checkpoint.root.hex(),
        signed_at=look.signed.signed_at,
    )


def _version(opened: views.Opened, number: int | None) -> views.Version:
    shown = opened.version(number)
    if shown is None:
        raise _not_found()
    return shown


def _receipt(opened: views.Opened, visit: Visit, reference: Reference, log_entry: LogEntry | None) -> ViewReceipt:
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
        log_entry=log_entry,
    )


def _not_found() -> Problem:
    return Problem(404, "http", "Not Found")
