"""状況: what became of each application, what was written about it, and what can still be done with it."""

import hashlib
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from uuid_utils.compat import uuid7

from chassis.web.idempotency import REUSED
from chassis.web.pages import HEADERS, Site
from chassis.web.paging import Cursor
from chassis.web.problems import Problem
from chassis.web.wording import LANGUAGE
from services.intake import handlers, views
from services.intake.drafts import handlers as drafts
from services.intake.messages import handlers as messages
from services.intake.web import typed
from services.intake.web.applying import earlier, place_at
from services.intake.web.pages import AtPortal, at_portal
from services.intake.web.routes import Counter
from services.intake.web.said import sections

PER_PAGE: Final = 20
#: Nothing more happens to a product in one of these.
FINAL: Final = frozenset({"returned", "withdrawn", "issued", "issued_on_paper"})
#: An open page asks by itself for so long. Shorter than a session lives when left alone: looking is not working.
WATCH_SECONDS: Final = 15 * 60


def make_router(site: Site, counter: Counter) -> APIRouter:  # noqa: C901 - a list of routes
    router = APIRouter(prefix="/contractor/{surety_id}/applications", include_in_schema=False)
    taking = counter.taking

    @router.get("")
    async def list_applications(request: Request, surety_id: str, cursor: Cursor = None) -> Response:
        async with at_portal(site, counter, request, surety_id) as at:
            page = await views.applications(
                at.visit.tx, at.visit.person.subject_id, cursor=cursor, limit=PER_PAGE, surety_id=surety_id
            )
            following = urlencode({"cursor": page.next_cursor}) if page.next_cursor else ""
            purchasers = taking.reference.purchasers
            return at.page(
                "applications.html", items=page.items, following=following, first=cursor is None, purchasers=purchasers
            )

    @router.get("/{application_id}")
    async def show(request: Request, surety_id: str, application_id: UUID, told: str = "") -> Response:
        async with at_portal(site, counter, request, surety_id) as at:
            return await _page(at, application_id, counter, told=told)

    @router.get("/{application_id}/sent")
    async def sent(request: Request, surety_id: str, application_id: UUID) -> Response:
        """送信完了."""
        async with at_portal(site, counter, request, surety_id) as at:
            application = await _found(at, application_id, counter)
            branch = at.surety.branch(application.submitted["branch_id"])
            return at.page("sent.html", application=application, branch=branch)

    @router.get("/{application_id}/standing")
    async def watch(request: Request, surety_id: str, application_id: UUID, seen: str = "", until: int = 0) -> Response:
        """The part of the page that changes by itself; 204 while there is nothing new."""
        async with at_portal(site, counter, request, surety_id) as at:
            application = await _found(at, application_id, counter)
            over = taking.clock.now().timestamp() > until
            if _digest(application) == seen and not over:
                return Response(status_code=204, headers=HEADERS)
            return at.page("_standing.html", **_standing(application, 0 if over else until))

    @router.post("/{application_id}/messages")
    async def write(request: Request, surety_id: str, application_id: UUID) -> Response:
        async with at_portal(site, counter, request, surety_id) as at:
            return await _write(at, application_id, counter)

    @router.get("/{application_id}/withdrawal")
    async def ask(request: Request, surety_id: str, application_id: UUID) -> Response:
        async with at_portal(site, counter, request, surety_id) as at:
            application = await _found(at, application_id, counter)
            if not _can_withdraw(application):
                return at.go(f"applications/{application_id}")
            return at.page("application_withdrawal.html", application=application)

    @router.post("/{application_id}/withdrawal")
    async def withdraw(request: Request, surety_id: str, application_id: UUID) -> Response:
        async with at_portal(site, counter, request, surety_id) as at:
            await _found(at, application_id, counter)
            told = "withdrawal"
            try:
                await handlers.request_withdrawal(at.visit.tx, application_id, principal=at.visit.person, taking=taking)
            except Problem as problem:
                if problem.slug != "already-decided":
                    raise
                told = "too-late"
            return at.go(f"applications/{application_id}?told={told}")

    @router.post("/{application_id}/reuse")
    async def reuse(request: Request, surety_id: str, application_id: UUID) -> Response:
        """A new draft with the values of this one; of a returned or withdrawn one, in its place."""
        async with at_portal(site, counter, request, surety_id) as at:
            application = await _found(at, application_id, counter)
            fields = _reused(application, at)
            draft = await drafts.begin(
                at.visit.tx, at.drawn("draft"), place_at(at), fields, principal=at.visit.person, taking=taking
            )
            return at.go(f"drafts/{draft.id}?told=reused")

    return router


async def _write(at: AtPortal, application_id: UUID, counter: Counter) -> Response:
    await _found(at, application_id, counter)
    text = str(at.visit.form.get("text", ""))
    message_id = at.drawn("message_id")
    try:
        await messages.write_to_surety(
            at.visit.tx, application_id, text, message_id=message_id, principal=at.visit.person, taking=counter.taking
        )
    except Problem as problem:
        if problem.slug not in ("invalid", REUSED):
            raise
        ours = LANGUAGE.get() == "ja"
        faults = {"text": [error.message_ja if ours else error.message_en for error in problem.errors]}
        return await _page(at, application_id, counter, status=422, faults=faults, text=text)
    return at.go(f"applications/{application_id}?told=written#messages")


async def _page(
    at: AtPortal,
    application_id: UUID,
    counter: Counter,
    *,
    status: int = 200,
    told: str = "",
    faults: dict[str, list[str]] | None = None,
    text: str = "",
) -> HTMLResponse:
    taking = counter.taking
    application = await _found(at, application_id, counter)
    talk = await messages.read(at.visit.tx, application_id, principal=at.visit.person, taking=taking)
    until = int(taking.clock.now().timestamp()) + WATCH_SECONDS
    erased = application.contact is None
    return at.page(
        "application.html",
        status=status,
        **_standing(application, until),
        sections=sections(_fields(application, at), at.surety, taking.reference, erased=erased),
        talk=talk.items,
        erased=erased,
        earlier=await earlier(at, application.replaces, counter),
        can_withdraw=_can_withdraw(application),
        draft_id=uuid7(),
        message_id=uuid7(),
        told=told,
        faults=faults or {},
        text=text,
    )


async def _found(at: AtPortal, application_id: UUID, counter: Counter) -> views.Application:
    """An application that this contractor sent to this surety. Problem 404 for any other."""
    application = await views.application(
        at.visit.tx, application_id, at.visit.person.subject_id, taking=counter.taking
    )
    if application is None or application.surety_id != at.surety.id:
        raise handlers.not_found()
    return application


def _standing(application: views.Application, until: int) -> dict[str, Any]:
    """What `_standing.html` shows. `until` is when it stops asking; 0 when it has stopped."""
    final = all(product.status in FINAL for product in application.products)
    return {"application": application, "final": final, "until": until, "seen": _digest(application)}


def _digest(application: views.Application) -> str:
    standing = application.model_dump_json(include={"status", "products", "withdrawal", "message"})
    return hashlib.sha256(standing.encode()).hexdigest()[:16]


def _can_withdraw(application: views.Application) -> bool:
    return application.status in ("submitted", "queued") and application.withdrawal is None


def _fields(application: views.Application, at: AtPortal) -> dict[str, str]:
    return typed.fields_of(application.submitted, application.contact, at.surety)


def _reused(application: views.Application, at: AtPortal) -> dict[str, str]:
    fields = _fields(application, at)
    if application.again:
        fields[typed.REPLACES] = str(application.application_id)
        for product in application.products:
            if product.product not in application.again:
                fields.pop(f"products.{product.product}")
    # What is not asked for starts as on an empty form.
    return {**typed.empty(at.surety), **fields}
