"""A code of the minute beside the password (TOTP, RFC 6238), for who wants one. Each code counts once."""

from typing import Any

import pyotp
import segno
import structlog
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from chassis.web import passwords, sessions
from chassis.web.pages import HEADERS, Site, Visit
from chassis.web.wording import noted

log = structlog.get_logger()


def make_router(site: Site) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    portal = site.portal

    @router.get(portal.path("account/code"))
    async def offer_code(request: Request) -> Response:
        async with site.visit(request) as visit:
            secret = await _secret_of(visit, draw=True)
            return visit.page("code.html", secret=secret, fault=None)

    @router.get(portal.path("account/code.svg"))
    async def code_picture(request: Request) -> Response:
        async with site.visit(request) as visit:
            signed = visit.signed
            secret = None if signed is None or signed.has_totp else await _secret_of(visit)
            if signed is None or secret is None:
                return Response(status_code=404)
            address = pyotp.TOTP(secret).provisioning_uri(name=signed.login, issuer_name="Akashi")
            picture = segno.make(address, error="m").svg_inline(scale=4, border=2)
            return Response(picture, media_type="image/svg+xml", headers=HEADERS)

    @router.post(portal.path("account/code"))
    async def confirm_code(request: Request) -> Response:
        async with site.visit(request) as visit:
            if not await use(visit, visit.text("code")):
                fault = noted("コードが正しくありません。認証アプリの現在のコードを入力してください。")
                return visit.page("code.html", status=422, secret=await _secret_of(visit), fault=fault)
            log.info("account.code_set")
            return visit.go(portal.path("account?done=code-set"))

    @router.post(portal.path("account/code/remove"))
    async def remove_code(request: Request) -> Response:
        async with site.visit(request) as visit:
            own = await visit.tx.fetchrow(sessions.SELECT_OWN, visit.person.account_id)
            if own is None or not await passwords.fits(own["password"], str(visit.form.get("password", ""))):
                return visit.go(portal.path("account?done=wrong-password"))
            await visit.tx.execute(sessions.UPDATE_TOTP, visit.person.account_id, None, None, None)
            log.info("account.code_removed")
            return visit.go(portal.path("account?done=code-removed"))

    return router


async def use(visit: Visit, code: str) -> bool:
    """Whether the code is of this minute; each counts once."""
    assert visit.signed is not None
    account_id, now = visit.signed.person.account_id, visit.site.runtime.clock.now()
    own = await visit.tx.fetchrow(sessions.SELECT_OWN, account_id)
    if own is None or own["totp_nonce"] is None:
        return False
    secret = visit.site.at_rest.open(own["totp_nonce"], own["totp_ciphertext"], about=account_id).decode()
    step = passwords.matching_step(secret, code, now=now.timestamp(), after=own["totp_last_step"])
    if step is None:
        return False
    await visit.tx.execute(sessions.UPDATE_STEP, account_id, step, now)
    return True


async def _secret_of(visit: Visit, *, draw: bool = False) -> str | None:
    """The secret that is not confirmed yet, drawn now if there is none; None once there is one that is."""
    account_id = visit.person.account_id
    own: Any = await visit.tx.fetchrow(sessions.SELECT_OWN, account_id)
    if own["totp_confirmed_at"] is not None:
        return None
    if own["totp_nonce"] is not None:
        return visit.site.at_rest.open(own["totp_nonce"], own["totp_ciphertext"], about=account_id).decode()
    if not draw:
        return None
    secret = pyotp.random_base32()
    nonce, ciphertext = visit.site.at_rest.seal(secret.encode(), about=account_id)
    await visit.tx.execute(sessions.UPDATE_TOTP, account_id, nonce, ciphertext, None)
    return secret
