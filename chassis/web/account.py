"""What people set for themselves: the language, the password, and which browsers stay signed in."""

from datetime import timedelta

import structlog
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from chassis.web import passwords, proofs, sessions
from chassis.web.pages import LANGUAGE_COOKIE, Site, Visit
from chassis.web.wording import LANGUAGES, noted

log = structlog.get_logger()


def make_router(site: Site) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    portal, clock = site.portal, site.runtime.clock

    @router.get(f"{portal.home}language/{{language}}")
    async def choose_language(request: Request, language: str) -> Response:
        async with site.enter(request) as visit:
            answer = visit.go(site.safe_next(request.query_params.get("next", "")))
            if language in LANGUAGES:
                year = timedelta(days=365)
                answer.set_cookie(
                    LANGUAGE_COOKIE,
                    language,
                    max_age=int(year.total_seconds()),
                    samesite="lax",
                    secure=site.runtime.settings.cookies_secure,
                )
            return answer

    @router.get(portal.path("account"))
    async def show_account(request: Request) -> Response:
        async with site.visit(request) as visit:
            browsers = await sessions.of_account(visit.tx, visit.person.account_id, now=clock.now())
            return visit.page("account.html", browsers=browsers, this=sessions.digest(visit.token), done=_done(request))

    @router.post(portal.path("account/sign-out-others"))
    async def sign_out_others(request: Request) -> Response:
        async with site.visit(request) as visit:
            await sessions.end_others(visit.tx, visit.person.account_id, visit.token)
            return visit.go(portal.path("account?done=signed-out"))

    @router.post(portal.path("account/sign-out-one"))
    async def sign_out_one(request: Request) -> Response:
        async with site.visit(request) as visit:
            short = visit.text("browser")
            if len(short) == 16 and short.isalnum():  # noqa: PLR2004 - as `of_account` shows it
                await sessions.end_one(visit.tx, visit.person.account_id, short)
            return visit.go(portal.path("account?done=signed-out"))

    @router.get(portal.path("account/password"))
    async def ask_password(request: Request) -> Response:
        async with site.visit(request) as visit:
            return visit.page("password.html", fault=None)

    @router.post(portal.path("account/password"))
    async def change_password(request: Request) -> Response:
        async with site.visit(request) as visit:
            return await _change_password(visit)

    return router


async def _change_password(visit: Visit) -> Response:
    """The old one is asked for; every other browser is signed out."""
    account_id, now = visit.person.account_id, visit.site.runtime.clock.now()
    own = await proofs.by_password(visit, "old")
    if isinstance(own, proofs.Refused):
        return visit.page("password.html", status=own.status, fault=own.fault)
    new = str(visit.form.get("new", ""))
    fault = await passwords.fault_of(new, login=own["login"])
    if fault is None and new != str(visit.form.get("again", "")):
        fault = noted("新しいパスワードと確認用の入力が一致しません。")
    if fault is None and await passwords.fits(own["password"], new):
        fault = noted("現在と同じパスワードは使用できません。")
    if fault is not None:
        return visit.page("password.html", status=422, fault=fault)
    await visit.tx.execute(sessions.UPDATE_PASSWORD, account_id, await passwords.hashed(new), False, now)
    await sessions.end_others(visit.tx, account_id, visit.token)
    log.info("account.password_changed")
    return visit.go(visit.site.portal.path("account?done=password-changed"))


def _done(request: Request) -> str:
    return request.query_params.get("done", "")
