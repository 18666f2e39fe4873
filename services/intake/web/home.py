"""トップページ: the menus, and what a contractor should hear of first."""

from datetime import timedelta
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from chassis.web.pages import Site
from services.intake.drafts import handlers as drafts
from services.intake.drafts.store import Place
from services.intake.notices import store as notices_store
from services.intake.web.pages import at_portal
from services.intake.web.routes import Counter

#: A mail that could not be delivered longer ago is no news.
NEWS: Final = timedelta(days=30)


def make_router(site: Site, counter: Counter) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/contractor/{surety_id}/")
    async def home(request: Request, surety_id: str) -> Response:
        async with at_portal(site, counter, request, surety_id) as at:
            tx, person = at.visit.tx, at.visit.person
            count, _ = await drafts.newest(tx, Place(person.subject_id, surety_id), taking=counter.taking, limit=1)
            since = counter.taking.clock.now() - NEWS
            news = await notices_store.of(tx, person.subject_id, surety_id, undeliverable_since=since)
            return at.page("home.html", drafts=count, news=news)

    @router.get("/contractor/{surety_id}/company")
    async def company(request: Request, surety_id: str) -> Response:
        async with at_portal(site, counter, request, surety_id) as at:
            return at.page("applications_company.html")

    return router
