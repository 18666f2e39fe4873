"""The desk (審査): what waits for a person of the surety, and what the person decides."""

from pathlib import Path
from typing import Final

from fastapi import APIRouter

from chassis.sealing import DataKey
from chassis.web.pages import Backing, Portal, Site
from chassis.web.wording import noted
from reference.reader import Reference
from services.issuer.web import judging, listing, paper, writing
from services.issuer.web.routes import Desk

HERE: Final = Path(__file__).parent
PORTAL: Final = Portal(
    name="desk",
    role="desk",
    title=noted("保証審査デスク"),
    login_label=noted("利用者ID"),
    offers_codes=True,
)


def make_site(runtime: Backing, at_rest: DataKey, reference: Reference) -> Site:
    def surety_name(surety_id: str) -> str:
        known = reference.sureties.get(surety_id)
        return known.name if known else surety_id

    def purchaser_title(purchaser_id: str) -> str:
        known = reference.purchasers.get(purchaser_id)
        return known.title if known else purchaser_id

    return Site(
        runtime,
        PORTAL,
        templates=(HERE / "templates",),
        catalogue=HERE / "messages" / "en.po",
        at_rest=at_rest,
        static=(HERE / "static",),
        filters={**writing.FILTERS, "surety_name": surety_name, "purchaser_title": purchaser_title},
    )


def make_router(site: Site, desk: Desk) -> APIRouter:
    """All pages of the desk."""
    router = APIRouter(include_in_schema=False)
    router.include_router(listing.make_router(site, desk))
    router.include_router(judging.make_router(site, desk))
    router.include_router(paper.make_router(site, desk))
    return router
