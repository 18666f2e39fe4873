"""The purchaser's portal (発注者): number and key, certificate, history, and what goes into the file."""

from datetime import datetime
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from chassis.clock import JST
from chassis.sealing import DataKey
from chassis.web import sessions
from chassis.web.pages import Backing, Portal, Site
from chassis.web.wording import noted
from documents.html import STATIC as DOCUMENTS_STATIC
from reference.codes import PRODUCTS, WORKS_KINDS
from reference.reader import Reference
from services.registry import views
from services.registry.web import looking_up, opened
from services.registry.web.routes import ReadingRoom

HERE: Final = Path(__file__).parent
PORTAL: Final = Portal(
    name="purchaser",
    role="purchaser",
    title=noted("保証確認サービス"),
    login_label=noted("利用者ID"),
    offers_codes=True,
)
#: The one file of `documents` that a browser needs; the others in its folder are nobody's.
LONGEST_PAGE: Final = 6


def product_name(code: str, language: str) -> str:
    """A product in the page's language; a new code as it is."""
    labels = PRODUCTS.get(code)
    if labels is None:
        return code
    return labels.full if language == "ja" else labels.english


def hour(at: datetime) -> str:
    return at.astimezone(JST).strftime("%H:%M")


def second(at: datetime) -> str:
    return at.astimezone(JST).strftime("%Y/%m/%d %H:%M:%S")


def make_site(runtime: Backing, at_rest: DataKey, reference: Reference) -> Site:
    def purchaser_name(purchaser_id: str) -> str:
        known = reference.purchasers.get(purchaser_id)
        return known.name if known else purchaser_id

    return Site(
        runtime,
        PORTAL,
        templates=(HERE / "templates",),
        catalogue=HERE / "messages" / "en.po",
        at_rest=at_rest,
        static=(HERE / "static", DOCUMENTS_STATIC),
        filters={"purchaser_name": purchaser_name, "product_name": product_name, "hour": hour, "second": second},
    )


def make_router(site: Site, room: ReadingRoom) -> APIRouter:
    """All pages of the portal."""
    router = APIRouter(include_in_schema=False)
    router.include_router(looking_up.make_router(site, room))
    router.include_router(opened.make_router(site, room))

    @router.get("/purchaser/views")
    async def list_looks(request: Request) -> Response:
        asked = request.query_params.get("page", "")
        page = int(asked) if asked.isascii() and asked.isdigit() and len(asked) <= LONGEST_PAGE else 1
        async with site.visit(request) as visit:
            looks = await views.looks(
                visit.tx,
                page,
                principal=visit.person,
                session=sessions.digest(visit.token),
                registering=room.registering,
            )
            return visit.page("looks.html", looks=looks)

    @router.get("/purchaser/help")
    async def explain(request: Request) -> Response:
        async with site.visit(request) as visit:
            purchaser = room.reference.purchasers.get(visit.person.subject_id)
            return visit.page(
                "help.html", purchaser=purchaser, products=PRODUCTS, works_kinds=WORKS_KINDS, minutes=room.open_minutes
            )

    return router
