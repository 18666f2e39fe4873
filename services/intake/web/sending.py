"""申込確認 > 送信完了: what was typed is shown as it will be sent, and sent once."""

import hashlib
import json
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from chassis.web.pages import Site
from chassis.web.problems import Problem
from services.intake import handlers, views
from services.intake.domain import Fault
from services.intake.drafts import handlers as drafts
from services.intake.drafts.handlers import Draft
from services.intake.web import labels, typed
from services.intake.web.applying import earlier, place_at
from services.intake.web.pages import AtPortal, at_portal
from services.intake.web.routes import Counter
from services.intake.web.said import sections
from services.intake.web.typed import Fields


def make_router(site: Site, counter: Counter) -> APIRouter:  # noqa: C901 - a list of routes
    router = APIRouter(prefix="/contractor/{surety_id}", include_in_schema=False)
    taking = counter.taking

    @router.get("/drafts/{draft_id}/confirm")
    async def confirm(request: Request, surety_id: str, draft_id: UUID, told: str = "") -> Response:
        async with at_portal(site, counter, request, surety_id) as at:
            draft = await drafts.find(at.visit.tx, draft_id, place_at(at), taking=taking)
            if draft.application_id is not None:
                return at.go(f"applications/{draft.application_id}/sent")
            if faults := typed.check(draft.fields, at.surety, taking.reference):
                return at.go(_to_first(draft, faults, at))
            said = sections(draft.fields, at.surety, taking.reference)
            replaced = await earlier(at, draft.fields.get(typed.REPLACES), counter)
            return at.page(
                "confirm.html", draft=draft, sections=said, told=told, seen=_digest(draft.fields), replaced=replaced
            )

    @router.post("/drafts/{draft_id}/send")
    async def send(request: Request, surety_id: str, draft_id: UUID) -> Response:
        try:
            async with at_portal(site, counter, request, surety_id) as at:
                return await _send(at, draft_id, taking)
        except Problem as problem:
            # The transaction is rolled back: the draft is as it was.
            if problem.slug != "already-applied":
                raise
            before = urlencode({"earlier": problem.extensions["application_id"]})
            return at.go(f"drafts/{draft_id}/already?{before}")

    @router.get("/drafts/{draft_id}/already")
    async def already(
        request: Request, surety_id: str, draft_id: UUID, before_id: Annotated[UUID, Query(alias="earlier")]
    ) -> Response:
        async with at_portal(site, counter, request, surety_id) as at:
            draft = await drafts.find(at.visit.tx, draft_id, place_at(at), taking=taking)
            before = await earlier(at, before_id, counter)
            if before is None:
                raise handlers.not_found()
            where = taking.reference.sureties.get(before.surety_id)
            can_replace = _can_replace(draft, before, at)
            return at.page(
                "apply_already.html", status=409, draft=draft, earlier=before, where=where, can_replace=can_replace
            )

    @router.post("/drafts/{draft_id}/replace")
    async def replace(request: Request, surety_id: str, draft_id: UUID) -> Response:
        """Send the draft in place of an application that was returned or withdrawn, by whichever surety (APP-3)."""
        async with at_portal(site, counter, request, surety_id) as at:
            draft = await drafts.find(at.visit.tx, draft_id, place_at(at), taking=taking, lock=True)
            before = await earlier(at, at.drawn("earlier"), counter)
            if before is None:
                raise handlers.not_found()
            if draft.application_id is None and _can_replace(draft, before, at):
                fields = {**draft.fields, typed.REPLACES: str(before.application_id)}
                await drafts.save(at.visit.tx, draft_id, place_at(at), fields, principal=at.visit.person, taking=taking)
            return at.go(f"drafts/{draft_id}/confirm")

    return router


async def _send(at: AtPortal, draft_id: UUID, taking: handlers.Taking) -> Response:
    draft = await drafts.find(at.visit.tx, draft_id, place_at(at), taking=taking, lock=True)
    if draft.application_id is None:
        if at.visit.text("seen") != _digest(draft.fields):
            return at.go(f"drafts/{draft_id}/confirm?told=changed")
        if faults := typed.check(draft.fields, at.surety, taking.reference):
            return at.go(_to_first(draft, faults, at))
    form, _ = typed.read(draft.fields, at.surety)
    sent = await drafts.send(at.visit.tx, draft, form, principal=at.visit.person, taking=taking)
    return at.go(f"applications/{sent}/sent")


def _can_replace(draft: Draft, before: views.Application, at: AtPortal) -> bool:
    """Whether all that both are for may be applied for again."""
    form, _ = typed.read(draft.fields, at.surety)
    both = form.products.chosen().keys() & {product.product for product in before.products}
    return bool(both) and both <= before.again


def _to_first(draft: Draft, faults: list[Fault], at: AtPortal) -> str:
    """The form, with its faults, at the first of them."""
    return f"drafts/{draft.id}?check=1&tab={labels.tab_of(faults[0].field, e_net=at.is_e_net)}"


def _digest(fields: Fields) -> str:
    """Tells whether what is sent is what was shown."""
    return hashlib.sha256(json.dumps(dict(fields), sort_keys=True).encode()).hexdigest()
