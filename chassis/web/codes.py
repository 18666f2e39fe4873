"""A code of the minute beside the password (TOTP, RFC 6238), for who wants one. Each code counts once."""

import pyotp
import segno
import structlog
from fastapi import APIRouter
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from chassis.web import proofs, sessions
from chassis.web.pages import Site, Visit

log = structlog.get_logger()


def make_router(site: Site) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    portal = site.portal

    @router.get(portal.path("account/code"))
    async def ask_password(request: Request) -> Response:
        async with site.visit(request) as visit:
            return visit.page("code.html", step="password", fault=None)

    @router.post(portal.path("account/code"))
    async def set_code(request: Request) -> Response:
        async with site.visit(request) as visit:
            return await (_confirm(visit) if "code" in visit.form else _draw(visit))

    @router.post(portal.path("account/code/remove"))
    async def remove_code(request: Request) -> Response:
        async with site.visit(request) as visit:
            refused = await proofs.by_password(visit, "password")
            if isinstance(refused, proofs.Refused):
                told = "too-often" if refused is proofs.TOO_OFTEN else "wrong-password"
                return visit.go(portal.path(f"account?done={told}"))
            await sessions.remove_code(visit.tx, visit.person.account_id)
            log.info("account.code_removed")
            return visit.go(portal.path("account?done=code-removed"))

    return router


async def _draw(visit: Visit) -> Response:
    """Show a secret, this once and to who knows the password: a browser left open must not tell or choose it."""
    own, account_id = await proofs.by_password(visit, "password"), visit.person.account_id
    if isinstance(own, proofs.Refused):
        return visit.page("code.html", status=own.status, step="password", fault=own.fault)
    if own["totp_confirmed_at"] is not None:
        return visit.go(visit.site.portal.path("account/code"))
    secret = pyotp.random_base32()
    nonce, ciphertext = visit.site.at_rest.seal(secret.encode(), about=account_id)
    await visit.tx.execute(sessions.UPDATE_TOTP, account_id, nonce, ciphertext, None)
    address = pyotp.TOTP(secret).provisioning_uri(name=own["login"], issuer_name="Akashi")
    picture = Markup(segno.make(address, error="m").svg_inline(scale=4, border=2))  # noqa: S704 - segno's own
    return visit.page("code.html", step="code", secret=secret, picture=picture, fault=None)


async def _confirm(visit: Visit) -> Response:
    """From now on a code is asked for. A wrong one does not have the secret shown again."""
    refused = await proofs.by_code(visit)
    if refused is not None:
        return visit.page("code.html", status=refused.status, step="code", secret=None, fault=refused.fault)
    log.info("account.code_set")
    return visit.go(visit.site.portal.path("account?done=code-set"))
