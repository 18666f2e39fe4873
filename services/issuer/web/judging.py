"""One application (申込): all that is known of it, what was written about it, and what a person decides.

Every step is a page of its own and says what will follow. A handler's work is undone as a whole when it refuses; the
person is told where it was typed, or on the application's page as it is by then.
"""

from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from uuid_utils.compat import uuid7

from chassis.web.pages import Site
from services.issuer import handlers, messages, store
from services.issuer.web.application import Seen, seen_of
from services.issuer.web.at_desk import AtDesk, at_desk
from services.issuer.web.refused import Refused, refusals
from services.issuer.web.routes import Desk


def make_router(site: Site, desk: Desk) -> APIRouter:
    router = APIRouter(prefix="/desk/applications/{application_id}", include_in_schema=False)
    add_reading_and_writing(router, site, desk)
    add_deciding(router, site, desk)
    add_approving(router, site, desk)
    return router


def add_reading_and_writing(router: APIRouter, site: Site, desk: Desk) -> None:
    @router.get("")
    async def show(request: Request, application_id: UUID, told: str = "") -> Response:
        async with at_desk(site, desk, request) as at:
            return _show(at, await seen_of(at, application_id), told=told)

    @router.get("/messages")
    async def leave(request: Request, application_id: UUID) -> Response:
        """The address of a form that was shown again."""
        async with at_desk(site, desk, request) as at:
            return at.go(f"applications/{(await seen_of(at, application_id)).id}#messages")

    @router.post("/messages")
    async def write(request: Request, application_id: UUID) -> Response:
        async with at_desk(site, desk, request) as at:
            return await _write(at, application_id)


def add_deciding(router: APIRouter, site: Site, desk: Desk) -> None:
    """引受け and 差戻し, each with a step before it that shows what follows."""

    @router.get("/accept")
    async def ask_to_accept(request: Request, application_id: UUID) -> Response:
        async with at_desk(site, desk, request) as at:
            return await _ask(at, application_id, "accept.html")

    @router.get("/return")
    async def ask_to_return(request: Request, application_id: UUID) -> Response:
        async with at_desk(site, desk, request) as at:
            return await _ask(at, application_id, "return.html")

    @router.post("/accept")
    async def accept(request: Request, application_id: UUID) -> Response:
        async with at_desk(site, desk, request) as at:
            return await _decide(at, application_id, "accepted", "accept.html")

    @router.post("/return")
    async def return_(request: Request, application_id: UUID) -> Response:
        async with at_desk(site, desk, request) as at:
            if at.visit.text("step") == "send":
                return await _decide(at, application_id, "returned", "return.html")
            return await _preview(at, application_id)


def add_approving(router: APIRouter, site: Site, desk: Desk) -> None:
    """What another person makes of a proposal (DESK-2, DESK-3)."""

    @router.get("/approve")
    async def ask_to_approve(request: Request, application_id: UUID) -> Response:
        async with at_desk(site, desk, request) as at:
            seen = await seen_of(at, application_id)
            if seen.is_own_proposal or seen.application.proposal is None:
                return at.go(f"applications/{application_id}")
            return at.page("approve.html", seen=seen)

    @router.post("/approve")
    async def approve(request: Request, application_id: UUID) -> Response:
        async with at_desk(site, desk, request) as at:
            return await _approve(at, application_id)

    @router.get("/reject")
    async def ask_to_reject(request: Request, application_id: UUID) -> Response:
        async with at_desk(site, desk, request) as at:
            seen = await seen_of(at, application_id)
            if seen.application.proposal is None:
                return at.go(f"applications/{application_id}")
            return _reject_form(at, seen)

    @router.post("/reject")
    async def reject(request: Request, application_id: UUID) -> Response:
        async with at_desk(site, desk, request) as at:
            return await _reject(at, application_id)


async def _write(at: AtDesk, application_id: UUID) -> Response:
    message_id = _drawn(at)
    with refusals() as refused:
        async with at.visit.tx.transaction():
            await messages.write_to_contractor(
                at.visit.tx,
                application_id,
                at.typed("text"),
                principal=at.visit.person,
                issuing=at.desk.issuing,
                private_key=at.desk.private_key,
                message_id=message_id,
            )
        return at.go(f"applications/{application_id}?told=written#messages")
    # What was sent has its id; sent again, this is another message.
    drawn = None if refused.is_another else message_id
    return _show(at, await seen_of(at, application_id), refused, text=at.typed("text"), message_id=drawn)


async def _ask(at: AtDesk, application_id: UUID, template: str) -> Response:
    """The step before a decision; the application's page where there is nothing to decide."""
    seen = await seen_of(at, application_id)
    if not seen.is_open:
        return at.go(f"applications/{application_id}")
    return at.page(template, seen=seen, message="", faults={}, shown=False)


async def _preview(at: AtDesk, application_id: UUID) -> Response:
    """What the contractor will read of a return, before it is sent; nothing is changed."""
    seen = await seen_of(at, application_id)
    if not seen.is_open:
        return at.go(f"applications/{application_id}")
    typed = at.typed("message")
    if at.visit.text("step") == "edit":
        return at.page("return.html", seen=seen, message=typed, faults={}, shown=False)
    with refusals() as refused:
        message = handlers.message_of("returned", typed)
        return at.page("return.html", seen=seen, message=message, faults={}, shown=True)
    return at.page("return.html", status=refused.status, seen=seen, message=typed, faults=refused.faults, shown=False)


async def _decide(at: AtDesk, application_id: UUID, outcome: str, template: str) -> Response:
    typed = at.typed("message")
    with refusals() as refused:
        async with at.visit.tx.transaction():
            made = await handlers.decide_at_desk(
                at.visit.tx,
                application_id,
                principal=at.visit.person,
                outcome=outcome,
                message=typed,
                issuing=at.desk.issuing,
            )
        told = "proposed" if isinstance(made, store.Proposal) else outcome
        return at.go(f"applications/{application_id}?told={told}")
    seen = await seen_of(at, application_id)
    if refused.is_typing:
        return at.page(template, status=refused.status, seen=seen, message=typed, faults=refused.faults, shown=False)
    return _show(at, seen, refused)


async def _approve(at: AtDesk, application_id: UUID) -> Response:
    with refusals() as refused:
        async with at.visit.tx.transaction():
            await handlers.approve(
                at.visit.tx,
                application_id,
                principal=at.visit.person,
                issuing=at.desk.issuing,
                proposed_at=_looked_at(at),
            )
        return at.go(f"applications/{application_id}?told=approved")
    return _show(at, await seen_of(at, application_id), refused)


async def _reject(at: AtDesk, application_id: UUID) -> Response:
    with refusals() as refused:
        async with at.visit.tx.transaction():
            await handlers.reject(
                at.visit.tx,
                application_id,
                principal=at.visit.person,
                message=at.typed("message"),
                issuing=at.desk.issuing,
                proposed_at=_looked_at(at),
            )
        return at.go(f"applications/{application_id}?told=rejected")
    seen = await seen_of(at, application_id)
    if refused.is_typing and seen.application.proposal is not None:
        return _reject_form(at, seen, refused)
    return _show(at, seen, refused)


def _show(
    at: AtDesk,
    seen: Seen,
    refused: Refused | None = None,
    *,
    told: str = "",
    text: str = "",
    message_id: UUID | None = None,
) -> HTMLResponse:
    """The application's page, as it is now."""
    refused = refused or Refused()
    return at.page(
        "application.html",
        status=refused.status,
        seen=seen,
        application=seen.application,
        told=told,
        notice=refused.notice(at.visit.site),
        faults=refused.faults,
        text=text,
        message_id=message_id or uuid7(),
    )


def _reject_form(at: AtDesk, seen: Seen, refused: Refused | None = None) -> HTMLResponse:
    refused = refused or Refused()
    return at.page(
        "reject.html",
        status=refused.status,
        seen=seen,
        message=at.typed("message"),
        faults=refused.faults,
        # Of the proposal that the person looked at first.
        proposed_at=at.visit.text("proposed_at"),
    )


def _looked_at(at: AtDesk) -> datetime:
    """Which proposal the person looked at; one that never was, where the form does not say."""
    try:
        return datetime.fromisoformat(at.visit.text("proposed_at"))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def _drawn(at: AtDesk) -> UUID:
    """The id that was drawn with the form, so that sending it twice is one message."""
    try:
        return UUID(at.visit.text("message_id"))
    except ValueError:
        return uuid7()
