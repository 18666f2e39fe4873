"""What everybody may read without signing in: what electronic surety is, who takes it, how the key is handed in."""

from datetime import timedelta
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from chassis.web.pages import LANGUAGE_COOKIE, Site
from chassis.web.wording import LANGUAGES
from reference.codes import ADVANCE_PAYMENT, INTERIM_PAYMENT, PERFORMANCE, PRODUCTS, SUBMISSION_CHANNELS, WORKS_KINDS
from reference.model import Branch, Purchaser, Surety
from reference.reader import Reference
from services.intake.web.guarantees import COMPLETES, WHEN
from services.intake.web.pages import at_portal
from services.intake.web.routes import Counter

PAGES: Final = {
    "/": "public_home.html",
    "/purchasers": "public_purchasers.html",
    "/submission": "public_submission.html",
    "/questions": "public_questions.html",
}
_YEAR: Final = int(timedelta(days=365).total_seconds())


def branches_of(purchaser: Purchaser, sureties: list[Surety]) -> list[tuple[Surety, Branch]]:
    """取扱支店: who to ask about a purchaser's works."""
    handling = ((surety, surety.branch_handling(purchaser.id)) for surety in sureties)
    return [(surety, branch) for surety, branch in handling if branch is not None]


def make_router(site: Site, reference: Reference, purchaser_url: str) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    async def show(request: Request) -> Response:
        async with site.enter(request) as visit:
            values = _values(reference, list(reference.sureties.values()))
            return visit.page(
                PAGES[request.url.path], purchaser_page=f"{purchaser_url.rstrip('/')}/purchaser/", **values
            )

    for path in PAGES:
        router.get(path)(show)

    @router.get("/language/{language}")
    async def choose_language(request: Request, language: str) -> Response:
        """As in the portals, and back to the public page."""
        async with site.enter(request) as visit:
            wanted = request.query_params.get("next", "/")
            answer = visit.go(wanted if wanted in PAGES else "/")
            if language in LANGUAGES:
                secure = site.runtime.settings.cookies_secure
                answer.set_cookie(LANGUAGE_COOKIE, language, max_age=_YEAR, samesite="lax", secure=secure)
            return answer

    return router


def make_portal_router(site: Site, counter: Counter) -> APIRouter:
    """The same contents inside a surety's portal."""
    router = APIRouter(include_in_schema=False, prefix="/contractor/{surety_id}")

    @router.get("/purchasers")
    async def purchasers(request: Request, surety_id: str) -> Response:
        async with at_portal(site, counter, request, surety_id) as at:
            return at.page("purchasers.html", **_values(counter.taking.reference, [at.surety]))

    @router.get("/questions")
    async def questions(request: Request, surety_id: str) -> Response:
        async with at_portal(site, counter, request, surety_id) as at:
            return at.page("questions.html", **_values(counter.taking.reference, [at.surety]))

    return router


def _values(reference: Reference, sureties: list[Surety]) -> dict[str, Any]:
    purchasers = sorted(reference.purchasers.values(), key=lambda purchaser: purchaser.id)
    return {
        "purchasers": [(purchaser, branches_of(purchaser, sureties)) for purchaser in purchasers],
        "sureties": sureties,
        "works_kinds": WORKS_KINDS,
        "products": PRODUCTS,
        "order": (ADVANCE_PAYMENT, INTERIM_PAYMENT, PERFORMANCE),
        "channels": SUBMISSION_CHANNELS,
        "completes": COMPLETES,
        "when": WHEN,
    }
