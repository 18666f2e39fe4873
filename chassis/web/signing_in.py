"""How a person signs in to a portal, and out."""

from urllib.parse import quote
from uuid import UUID

import structlog
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from chassis.metrics import WRONG_SECRETS
from chassis.web import passwords, proofs, sessions
from chassis.web.pages import Site, Visit

log = structlog.get_logger()


def make_router(site: Site) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    portal = site.portal

    @router.get(portal.path("sign-in"))
    async def ask(request: Request) -> Response:
        async with site.enter(request) as visit:
            wanted = site.safe_next(request.query_params.get("next", ""))
            if visit.signed is not None:
                return visit.go(portal.path("sign-in/code") if visit.signed.code_due else wanted)
            return visit.page("sign_in.html", next=wanted, login="", fault=None)

    @router.post(portal.path("sign-in"))
    async def sign_in(request: Request) -> Response:
        async with site.enter(request) as visit:
            return await _sign_in(visit)

    @router.get(portal.path("sign-in/code"))
    async def ask_code(request: Request) -> Response:
        async with site.enter(request) as visit:
            if visit.signed is None or not visit.signed.code_due:
                return visit.go(portal.path("sign-in"))
            return visit.page("sign_in_code.html", next=request.query_params.get("next", ""), fault=None)

    @router.post(portal.path("sign-in/code"))
    async def check_code(request: Request) -> Response:
        async with site.enter(request) as visit:
            return await _check_code(visit)

    @router.post(portal.path("sign-out"))
    async def sign_out(request: Request) -> Response:
        async with site.enter(request) as visit:
            await sessions.end(visit.tx, visit.token)
            answer = visit.go(portal.path("sign-in"))
            answer.delete_cookie(site.cookie, path="/", secure=site.runtime.settings.cookies_secure, httponly=True)
            return answer

    return router


async def _sign_in(visit: Visit) -> Response:
    """One answer, after the same work, whether the login is unknown or the password wrong."""
    site, now = visit.site, visit.site.runtime.clock.now()
    login, wanted = visit.text("login"), site.safe_next(visit.text("next"))
    address = visit.request.client.host if visit.request.client else ""
    subjects = sessions.attempt_subjects(address, login)
    wait = await sessions.count_attempt(visit.tx, subjects, now=now)
    if wait is not None:
        WRONG_SECRETS.labels("password", "too_often").inc()
        fault = site.wording.gettext(
            "ログインの失敗が続いたため、しばらくログインできません。約%(minutes)s分後にもう一度お試しください。"
        )
        answer = visit.page(
            "sign_in.html", status=429, next=wanted, login=login, fault=fault % {"minutes": -(-wait // 60)}
        )
        answer.headers["Retry-After"] = str(wait)
        return answer
    row = await visit.tx.fetchrow(sessions.SELECT_SIGN_IN, login, site.portal.role, now - sessions.FIRST_PASSWORD)
    if not await passwords.fits(row["password"] if row else None, str(visit.form.get("password", ""))) or row is None:
        WRONG_SECRETS.labels("password", "wrong").inc()
        log.info("sign_in.failed")
        fault = site.wording.gettext("%(login)sまたはパスワードが正しくありません。")
        label = site.wording.gettext(site.portal.login_label)
        return visit.page("sign_in.html", status=422, next=wanted, login=login, fault=fault % {"login": label})
    await sessions.uncount_attempt(visit.tx, subjects)
    if row["has_run_out"]:
        log.info("sign_in.first_password_ran_out")
        fault = site.wording.gettext("最初のパスワードの有効期限（%(days)s日）が過ぎました。再発行をご依頼ください。")
        return visit.page(
            "sign_in.html",
            status=422,
            next=wanted,
            login=login,
            fault=fault % {"days": sessions.FIRST_PASSWORD.days},
        )
    return await _begin(visit, row["id"], code_due=row["has_totp"], wanted=wanted)


async def _check_code(visit: Visit) -> Response:
    site = visit.site
    if visit.signed is None or not visit.signed.code_due:
        return visit.go(site.portal.path("sign-in"))
    refused = await proofs.by_code(visit)
    if refused is not None:
        log.info("sign_in.code_failed")
        return visit.page("sign_in_code.html", status=refused.status, next=visit.text("next"), fault=refused.fault)
    return await _begin(visit, visit.person.account_id, code_due=False, wanted=site.safe_next(visit.text("next")))


async def _begin(visit: Visit, account_id: UUID, *, code_due: bool, wanted: str) -> Response:
    """A new session under a new cookie: what was known before signing in opens nothing afterwards."""
    site = visit.site
    # The cookie is about to be replaced: nobody could sign out of what it opened.
    await sessions.end(visit.tx, visit.token)
    browser = visit.request.headers.get("user-agent", "")
    token = await sessions.begin(visit.tx, account_id, code_due=code_due, browser=browser, now=site.runtime.clock.now())
    answer = visit.go(f"{site.portal.path('sign-in/code')}?next={quote(wanted)}" if code_due else wanted)
    site.set_cookie(answer, token)
    log.info("sign_in.done", account_id=str(account_id), code_due=code_due)
    return answer
