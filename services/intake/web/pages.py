"""The contractor's portal: which pages there are, and how each knows its surety and its contractor."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from uuid_utils.compat import uuid7

from chassis.sealing import DataKey
from chassis.web.pages import Backing, Portal, Site, Visit
from chassis.web.wording import noted
from documents.html import STATIC as DOCUMENTS_STATIC
from documents.money import yen, yen_spaced
from reference.codes import E_NET
from reference.model import Surety
from schemas.applications import Contractor
from services.intake import handlers, store
from services.intake.web.routes import Counter

HERE: Final = Path(__file__).parent
PORTAL: Final = Portal(
    name="contractor",
    role="contractor",
    title=noted("電子保証ポータル"),
    login_label=noted("お客様ID"),
    offers_codes=False,
)


def make_site(runtime: Backing, at_rest: DataKey) -> Site:
    return Site(
        runtime,
        PORTAL,
        templates=(HERE / "templates",),
        catalogue=HERE / "messages" / "en.po",
        at_rest=at_rest,
        static=(HERE / "static", DOCUMENTS_STATIC),
        filters={"yen": yen, "yen_spaced": yen_spaced},
    )


@dataclass(frozen=True)
class AtPortal:
    """A signed-in person at one surety's portal."""

    visit: Visit
    surety: Surety
    #: 受注者, as registered.
    contractor: Contractor

    @property
    def is_e_net(self) -> bool:
        return self.surety.family == E_NET

    def path(self, rest: str = "") -> str:
        """An address of this portal."""
        return f"/contractor/{self.surety.id}/{rest}"

    def drawn(self, name: str) -> UUID:
        """The id that was drawn with the page, so that a form that is sent twice has one effect; a new one for none."""
        try:
            return UUID(self.visit.text(name))
        except ValueError:
            return uuid7()

    def page(self, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        return self.visit.page(template, status=status, at=self, **values)

    def go(self, rest: str) -> Response:
        return self.visit.go(self.path(rest))


@contextlib.asynccontextmanager
async def at_portal(site: Site, counter: Counter, request: Request, surety_id: str) -> AsyncIterator[AtPortal]:
    """As `site.visit`, at the portal of a surety. Problem 404 when there is no such surety."""
    surety = counter.taking.reference.sureties.get(surety_id)
    async with site.visit(request) as visit:
        if surety is None:
            raise handlers.not_found()
        who = visit.person.subject_id
        contractor = (await store.contractors(visit.tx, [who])).get(who)
        if contractor is None:
            raise handlers.no_contractor()
        yield AtPortal(visit, surety, Contractor.model_validate(dict(contractor)))


def make_router(site: Site, counter: Counter) -> APIRouter:
    """The door: which surety's portal?"""
    router = APIRouter(include_in_schema=False)

    @router.get("/contractor/")
    async def choose_portal(request: Request) -> Response:
        async with site.visit(request) as visit:
            return visit.page("choose_portal.html", sureties=list(counter.taking.reference.sureties.values()))

    return router
