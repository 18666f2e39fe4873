"""The certificate in a window of its own, and e-Net's way to it: number, certificate, key, PDF (STEP 3 and 4)."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from chassis.web.pages import Site
from documents.certificate_view import certificate_view
from documents.html import certificate_html
from reference.codes import PRODUCTS
from schemas.certificates import CertificateContent
from services.intake import handlers
from services.intake.listing import views as listing
from services.intake.web.documents import Printer, version_of
from services.intake.web.guarantees import of_surety, page_number
from services.intake.web.pages import AtPortal, at_portal
from services.intake.web.routes import Counter


def make_router(site: Site, counter: Counter, printer: Printer) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    taking = counter.taking

    @router.get("/contractor/{surety_id}/guarantees/{number}/certificate")
    async def show_window(request: Request, surety_id: str, number: str) -> Response:
        async with at_portal(site, counter, request, surety_id) as at:
            return await _certificate(at, number, request, "certificate.html")

    @router.get("/contractor/{surety_id}/guarantees/{number}/certificate.pdf")
    async def save(request: Request, surety_id: str, number: str) -> Response:
        async with at_portal(site, counter, request, surety_id) as at:
            entry = version_of(await of_surety(at, number), _version(request))
        return await printer.certificate(entry)

    @router.get("/contractor/{surety_id}/certificates")
    async def list_certificates(request: Request, surety_id: str) -> Response:
        """電子証書の確認はこちら. Net Desk has its list for the same."""
        async with at_portal(site, counter, request, surety_id) as at:
            if not at.is_e_net:
                return at.go("guarantees?tab=electronic")
            found = await listing.search(
                at.visit.tx,
                at.visit.person.subject_id,
                at.surety.id,
                listing.Wanted(arrived_only=True),
                page=page_number(request),
                reference=taking.reference,
            )
            return at.page("certificates.html", found=found, products=PRODUCTS, page_path="?page=")

    @router.get("/contractor/{surety_id}/certificates/{number}")
    async def show_certificate(request: Request, surety_id: str, number: str) -> Response:
        async with at_portal(site, counter, request, surety_id) as at:
            return await _certificate(at, number, request, "certificate_step.html")

    @router.get("/contractor/{surety_id}/certificates/{number}/key")
    async def leave_key(request: Request, surety_id: str, number: str) -> Response:
        async with at_portal(site, counter, request, surety_id) as at:
            return at.go(f"certificates/{(await of_surety(at, number)).contract_number}")

    @router.post("/contractor/{surety_id}/certificates/{number}/key")
    async def show_key(request: Request, surety_id: str, number: str) -> Response:
        """次画面: as on the guarantee's page, the answer of a POST and no address."""
        async with at_portal(site, counter, request, surety_id) as at:
            found = await of_surety(at, number)
            key = await handlers.disclose_key(
                at.visit.tx, found.contract_number, principal=at.visit.person, taking=taking
            )
            content = CertificateContent.model_validate(found.overview)
            return at.page("key.html", guarantee=found, content=content, key=key)

    return router


async def _certificate(at: AtPortal, number: str, request: Request, template: str) -> HTMLResponse:
    found = await of_surety(at, number)
    entry = version_of(found, _version(request))
    content = CertificateContent.model_validate(entry.content)
    return at.page(
        template,
        guarantee=found,
        entry=entry,
        certificate=certificate_html(certificate_view(content, registered_at=entry.registered_at)),
    )


def _version(request: Request) -> int | None:
    """Which one was asked for; what is no number is simply not there."""
    typed = request.query_params.get("version")
    if typed is None:
        return None
    if not (typed.isascii() and typed.isdigit()):
        raise handlers.not_found()
    return int(typed[:9])
