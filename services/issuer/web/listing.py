"""審査待ち, and what the desk finds among all applications."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from chassis.web.pages import HEADERS, Site
from chassis.web.paging import Cursor
from chassis.web.wording import noted
from reference.codes import PRODUCTS
from services.issuer import views
from services.issuer.web.at_desk import AtDesk, at_desk
from services.issuer.web.routes import Desk

PER_PAGE: Final = 20
#: An open page asks by itself for so long. Shorter than a session lives when left alone: looking is not working.
WATCH_SECONDS: Final = 15 * 60
LONGEST_QUERY: Final = 200
#: Of a surety where two decide: all, what nobody proposed yet, what waits for a second person.
TABS: Final = {
    "": (noted("すべて"), None),
    "open": (noted("起案前"), False),
    "proposed": (noted("承認待ち"), True),
}
STATUSES: Final[Mapping[str, str]] = {
    "queued": noted("審査待ち"),
    "decided": noted("決定済"),
    "withdrawn": noted("取下げ"),
}


def make_router(site: Site, desk: Desk) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/desk/")
    async def show_queue(
        request: Request, *, tab: str = "", product: str = "", cursor: Cursor = None, seen: str = "", until: int = 0
    ) -> Response:
        async with at_desk(site, desk, request) as at:
            wanted = {
                "tab": tab if at.two_decide and tab in TABS else "",
                "product": product if product in PRODUCTS else "",
            }
            asked_by_itself = until if request.headers.get("hx-request") else 0
            return await _show_queue(at, wanted, cursor, seen=seen, until=asked_by_itself)

    @router.get("/desk/search")
    async def search(request: Request, q: str = "", status: str = "", cursor: Cursor = None) -> Response:
        async with at_desk(site, desk, request) as at:
            query = q.strip()[:LONGEST_QUERY]
            found = await views.search(
                at.visit.tx,
                at.surety.id,
                query=query,
                status=status if status in STATUSES else None,
                cursor=cursor,
                limit=PER_PAGE,
            )
            kept = {"q": query, "status": status if status in STATUSES else ""}
            return at.page(
                "search.html",
                found=found,
                query=query,
                status_wanted=kept["status"],
                statuses=STATUSES,
                is_search=any(kept.values()),
                first=cursor is None,
                first_path=_path(kept),
                next_path=_path({**kept, "cursor": found.next_cursor or ""}),
            )

    return router


async def _show_queue(at: AtDesk, wanted: dict[str, str], cursor: str | None, *, seen: str, until: int) -> Response:
    """`until`: when a page that asks by itself stops to; 0 when a person asks."""
    now = at.desk.issuing.clock.now()
    product = wanted["product"] or None
    waiting = await views.waiting(at.visit.tx, at.surety.id, product=product)
    queue = await views.queue(
        at.visit.tx,
        at.surety.id,
        cursor=cursor,
        limit=PER_PAGE,
        product=product,
        proposed=TABS[wanted["tab"]][1],
    )
    over = bool(until) and now.timestamp() > until
    digest = _digest(queue, waiting, now)
    if until and not over and seen == digest:
        return Response(status_code=204, headers=HEADERS)
    kept = {**wanted, "cursor": cursor or ""}
    watch_until = 0 if over else until or int(now.timestamp()) + WATCH_SECONDS
    return at.page(
        "queue.html",
        queue=queue,
        waiting=waiting,
        counts={"": waiting.waiting, "open": waiting.waiting - waiting.proposed, "proposed": waiting.proposed},
        tab=wanted["tab"],
        tabs={code: text for code, (text, _) in TABS.items()} if at.two_decide else {},
        tab_path=lambda other: _path({**wanted, "tab": other}),
        product=wanted["product"],
        products=list(PRODUCTS),
        now=now,
        minutes=lambda since: max(0, int((now - since).total_seconds() // 60)),
        first=cursor is None,
        this_path=_path(kept),
        first_path=_path(wanted),
        next_path=_path({**wanted, "cursor": queue.next_cursor or ""}),
        poll_path=_path({**kept, "seen": digest, "until": str(watch_until)}) if watch_until else None,
    )


def _path(query: dict[str, str]) -> str:
    """The same page with another query."""
    given = {name: value for name, value in query.items() if value}
    return "?" + urlencode(given) if given else "?"


def _digest(queue: views.Queue, waiting: views.Waiting, now: datetime) -> str:
    """Changes when the page would: at least every minute, because waiting times do."""
    shown = f"{queue.model_dump_json()}{waiting.model_dump_json()}{now:%Y%m%d%H%M}"
    return hashlib.sha256(shown.encode()).hexdigest()[:16]
