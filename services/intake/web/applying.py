"""申込作成: the form, kept as a draft at every step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from uuid_utils.compat import uuid7

from chassis.web.pages import HEADERS, Site
from chassis.web.problems import Problem
from chassis.web.wording import LANGUAGE
from reference.codes import PRODUCTS
from services.intake import views
from services.intake.domain import EARLIEST_DAY, Fault
from services.intake.drafts import handlers as drafts
from services.intake.drafts.handlers import Draft
from services.intake.drafts.store import Place
from services.intake.web import labels, typed
from services.intake.web.pages import AtPortal, at_portal
from services.intake.web.routes import Counter
from services.intake.web.said import REDEPOSIT, WANTED
from services.intake.web.typed import Fields

#: More than the form's fields together may hold.
LONGEST_FIELD: Final = 8000


def place_at(at: AtPortal) -> Place:
    """Where the drafts are that a person sees at a portal."""
    return Place(at.visit.person.subject_id, at.surety.id)


async def earlier(at: AtPortal, application_id: UUID | str | None, counter: Counter) -> views.Application | None:
    """The application that another one takes the place of; perhaps one that was sent to another surety."""
    if not application_id:
        return None
    return await views.application(
        at.visit.tx, UUID(str(application_id)), at.visit.person.subject_id, taking=counter.taking
    )


@dataclass(frozen=True)
class Entry:
    """A fault as the summary at the top of the form tells it."""

    path: str
    label: str
    product: str
    message: str
    tab: str


def make_router(site: Site, counter: Counter) -> APIRouter:
    router = APIRouter(prefix="/contractor/{surety_id}", include_in_schema=False)
    taking = counter.taking

    @router.get("/applications/new")
    async def begin(request: Request, surety_id: str) -> Response:
        async with at_portal(site, counter, request, surety_id) as at:
            draft = Draft(uuid7(), taking.clock.now(), "", typed.empty(at.surety))
            return await _form(at, draft, counter, tab=_tab(request), kept=False)

    @router.get("/drafts")
    async def list_drafts(request: Request, surety_id: str) -> Response:
        async with at_portal(site, counter, request, surety_id) as at:
            count, newest = await drafts.newest(at.visit.tx, place_at(at), taking=taking)
            purchasers = taking.reference.purchasers
            return at.page("apply_drafts.html", count=count, drafts=newest, purchasers=purchasers, names=_chosen)

    @router.get("/drafts/{draft_id}")
    async def show(request: Request, surety_id: str, draft_id: UUID, told: str = "", check: str = "") -> Response:
        async with at_portal(site, counter, request, surety_id) as at:
            draft = await drafts.find(at.visit.tx, draft_id, place_at(at), taking=taking)
            if draft.application_id is not None:
                return at.go(f"applications/{draft.application_id}/sent")
            faults = typed.check(draft.fields, at.surety, taking.reference) if check else []
            return await _form(at, draft, counter, tab=_tab(request), faults=faults, told=told)

    @router.post("/drafts/{draft_id}")
    async def save(request: Request, surety_id: str, draft_id: UUID) -> Response:
        async with at_portal(site, counter, request, surety_id) as at:
            return await _save(at, draft_id, counter)

    @router.get("/drafts/{draft_id}/delete")
    async def ask(request: Request, surety_id: str, draft_id: UUID) -> Response:
        async with at_portal(site, counter, request, surety_id) as at:
            draft = await drafts.find(at.visit.tx, draft_id, place_at(at), taking=taking)
            if draft.application_id is not None:
                return at.go(f"applications/{draft.application_id}")
            return at.page("apply_delete.html", draft=draft)

    @router.post("/drafts/{draft_id}/delete")
    async def delete(request: Request, surety_id: str, draft_id: UUID) -> Response:
        async with at_portal(site, counter, request, surety_id) as at:
            await drafts.delete(at.visit.tx, draft_id, place_at(at))
            return at.go("drafts")

    return router


async def _save(at: AtPortal, draft_id: UUID, counter: Counter) -> Response:
    """Keep what was typed, and go where the button says: another tab, 申込確認, or here again."""
    taking, tx = counter.taking, at.visit.tx
    place = place_at(at)
    go = at.visit.text("go")
    try:
        before: Fields = (await drafts.find(tx, draft_id, place, taking=taking)).fields
    except Problem:
        before = {}
    fields = _changed(typed.with_branch(_posted(at, before), before, at.surety), go, at)
    draft = await drafts.save(tx, draft_id, place, fields, principal=at.visit.person, taking=taking)
    if draft.application_id is not None:
        return at.go(f"applications/{draft.application_id}/sent")
    if go == "auto":
        return Response(status_code=204, headers=HEADERS)
    if go == "confirm":
        faults = typed.check(fields, at.surety, taking.reference)
        if faults:
            return await _form(at, draft, counter, tab=_tab_of(faults[0], at), faults=faults, status=422)
        return at.go(f"drafts/{draft_id}/confirm")
    here = at.visit.text("tab")
    tab = go if go in labels.TABS else here if here in labels.TABS else labels.WORKS
    told = {"save": "&told=saved", "clear-products": "&told=cleared", "clear-information": "&told=cleared"}.get(go, "")
    place_on_page = go.partition(":")[2]
    return at.go(f"drafts/{draft_id}?tab={tab}{told}" + (f"#{place_on_page}" if place_on_page else ""))


async def _form(
    at: AtPortal,
    draft: Draft,
    counter: Counter,
    *,
    tab: str,
    faults: list[Fault] | None = None,
    status: int = 200,
    told: str = "",
    kept: bool = True,
) -> HTMLResponse:
    by_field: dict[str, list[str]] = {}
    for fault in faults or []:
        by_field.setdefault(fault.field, []).append(_message(fault))
    entries = [
        Entry(f.field, labels.label_of(f.field), labels.product_of(f.field), _message(f), _tab_of(f, at))
        for f in faults or []
    ]
    taking = counter.taking
    return at.page(
        "apply.html",
        status=status,
        draft=draft,
        fields=_Blank(draft.fields),
        # One message beside a field; the summary has all.
        faults={field: messages[:1] for field, messages in by_field.items()},
        entries=entries,
        earliest_day=EARLIEST_DAY,
        tab=tab,
        tabs=labels.E_NET_TABS if at.is_e_net else labels.TABS,
        words=labels.PRODUCT_WORDS,
        methods=[(method.code, method.label) for method in at.surety.fee_payment_methods],
        wanted=_translated(WANTED, at),
        redeposit=_translated(REDEPOSIT, at),
        ratios={product: typed.ratio(draft.fields, product, at.surety) for product in PRODUCTS},
        purchasers=list(taking.reference.purchasers.values()),
        handling={purchaser: branch.id for branch in at.surety.branches for purchaser in branch.handles},
        replaced=await earlier(at, draft.fields.get(typed.REPLACES), counter),
        told=told,
        kept=kept,
    )


class _Blank(dict[str, str]):
    """Fields of which none is missing."""

    def __missing__(self, name: str) -> str:
        return ""


def _posted(at: AtPortal, before: Fields) -> dict[str, str]:
    """The fields that came, and the one that the form does not show. Blanks are not kept."""
    fields = {name: str(at.visit.form.get(name, ""))[:LONGEST_FIELD] for name in typed.names_of(at.surety)}
    fields[typed.REPLACES] = before.get(typed.REPLACES, "")
    return {name: text for name, text in fields.items() if text.strip()}


def _changed(fields: Mapping[str, str], go: str, at: AtPortal) -> dict[str, str]:
    """What the buttons inside the form do: clear a section, fill 請求先 with the company's own name, empty it."""
    verb, _, path = go.partition(":")
    fresh = typed.empty(at.surety)
    cleared: tuple[str, ...] = ()
    if verb == "clear-products":
        cleared = typed.product_names(at.surety)
    elif verb == "clear-information":
        cleared = typed.information_names(at.surety)
    elif verb in ("own", "blank") and path in typed.product_names(at.surety):
        return {**fields, path: at.contractor.name if verb == "own" else ""}
    kept = {name: text for name, text in fields.items() if name not in cleared}
    return kept | {name: text for name, text in fresh.items() if name in cleared}


def _tab_of(fault: Fault, at: AtPortal) -> str:
    return labels.tab_of(fault.field, e_net=at.is_e_net)


def _tab(request: Request) -> str:
    tab = request.query_params.get("tab", "")
    return tab if tab in labels.TABS else labels.WORKS


def _message(fault: Fault) -> str:
    return fault.message_ja if LANGUAGE.get() == "ja" else fault.message_en


def _translated(choices: Mapping[str, str], at: AtPortal) -> list[tuple[str, str]]:
    return [(code, at.visit.site.wording.gettext(text)) for code, text in choices.items()]


def _chosen(draft: Draft) -> list[str]:
    return [labels.full for code, labels in PRODUCTS.items() if draft.fields.get(f"products.{code}")]
