"""A person at the desk: who, of which surety, and where to go from here."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from chassis.web.pages import Site, Visit
from chassis.web.problems import Problem
from reference.codes import FOUR_EYES
from reference.model import Surety
from services.issuer.web.routes import Desk


@dataclass(frozen=True)
class AtDesk:
    """A signed-in person of one surety, in the transaction of the request."""

    visit: Visit
    desk: Desk
    surety: Surety

    @property
    def two_decide(self) -> bool:
        """Whether another person has to approve (DESK-1)."""
        return self.surety.desk_approval == FOUR_EYES

    def page(self, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        return self.visit.page(template, status=status, at=self, **values)

    def go(self, rest: str) -> Response:
        return self.visit.go(self.visit.site.portal.path(rest))

    def typed(self, name: str) -> str:
        """A field as it was typed, to be shown again."""
        return str(self.visit.form.get(name, ""))


@contextlib.asynccontextmanager
async def at_desk(site: Site, desk: Desk, request: Request) -> AsyncIterator[AtDesk]:
    """As `site.visit`, at the desk of the person's own surety."""
    async with site.visit(request) as visit:
        surety = desk.issuing.reference.sureties.get(visit.person.subject_id)
        if surety is None:
            raise Problem(403, "forbidden", "This account belongs to no surety that is known here.")
        yield AtDesk(visit, desk, surety)
