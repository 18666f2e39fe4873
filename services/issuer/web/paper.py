"""印刷待ち: certificates on paper (証書(紙)), to be printed at the desk."""

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from chassis.web.pages import Site
from chassis.web.paging import Cursor
from schemas.certificates import CertificateContent
from schemas.contract_number import is_well_formed, normalise
from services.issuer import handlers, views
from services.issuer.web.at_desk import AtDesk, at_desk
from services.issuer.web.routes import Desk

PER_PAGE: Final = 20


def make_router(site: Site, desk: Desk) -> APIRouter:
    router = APIRouter(prefix="/desk/paper", include_in_schema=False)

    @router.get("")
    async def list_paper(request: Request, cursor: Cursor = None, printed: str = "") -> Response:
        async with at_desk(site, desk, request) as at:
            found = await views.to_print(at.visit.tx, at.surety.id, cursor=cursor, limit=PER_PAGE)
            contents = {item.contract_number: CertificateContent.model_validate(item.content) for item in found.items}
            done = await _found(at, printed) if printed else None
            return at.page("paper.html", found=found, contents=contents, first=cursor is None, done=done)

    @router.get("/{number}")
    async def show(request: Request, number: str) -> Response:
        async with at_desk(site, desk, request) as at:
            paper = await _found(at, number)
            if paper is None:
                raise handlers.not_found()
            content = CertificateContent.model_validate(paper.content)
            return at.page("paper_sheet.html", paper=paper, content=content)

    @router.post("/{number}/printed")
    async def mark_printed(request: Request, number: str) -> Response:
        async with at_desk(site, desk, request) as at:
            paper = await _found(at, number)
            if paper is None:
                raise handlers.not_found()
            now = desk.issuing.clock.now()
            await handlers.mark_printed(at.visit.tx, paper.contract_number, principal=at.visit.person, now=now)
            return at.go(f"paper?printed={paper.contract_number}")

    return router


async def _found(at: AtDesk, typed: str) -> views.PaperCertificate | None:
    """A certificate on paper of this surety's; None for what is no number at all, too."""
    number = normalise(typed)
    if not is_well_formed(number):
        return None
    return await views.paper(at.visit.tx, number, at.surety.id)
