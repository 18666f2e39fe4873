"""A portal as a service serves it: its own pages are among the routers, and these are what every portal has."""

from dataclasses import dataclass

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from chassis.web import account, codes, signing_in
from chassis.web.pages import Elsewhere, Site, go
from chassis.web.problems import Problem


@dataclass(frozen=True)
class CompletePortal:
    """Signing in, the account, the files of the look, and problems as pages."""

    site: Site

    def install(self, app: FastAPI) -> None:
        app.include_router(signing_in.make_router(self.site))
        app.include_router(account.make_router(self.site))
        if self.site.portal.offers_codes:
            app.include_router(codes.make_router(self.site))
        app.mount("/static", self.site.files)
        app.add_exception_handler(Elsewhere, _send_on)

    def answer(self, request: Request, problem: Problem) -> Response | None:
        return self.site.answer(request, problem)


async def _send_on(request: Request, elsewhere: Exception) -> Response:
    assert isinstance(elsewhere, Elsewhere)
    return go(request, elsewhere.path)
