"""電子証書の照会: number and key in, the certificate's page out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from chassis.telemetry import current_cause
from chassis.web import sessions
from chassis.web.pages import Site, Visit
from chassis.web.wording import noted
from schemas import authentication_key, contract_number
from services.registry import handlers, views
from services.registry.web import typed
from services.registry.web.routes import ReadingRoom

PLACE: Final = "/purchaser/certificates"
LABELS: Final = {typed.NUMBER: noted("保証契約番号"), typed.KEY: noted("認証キー")}
#: Of a number that is shown again: nobody types more.
LONGEST_SHOWN: Final = 40


@dataclass(frozen=True)
class Refusal:
    """Why the look-up showed nothing; without the number's or the key's part in it (KEY-10)."""

    #: `not-found`, `too-many-attempts`
    slug: str
    wait_minutes: int = 0


def make_router(site: Site, room: ReadingRoom) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/purchaser/")
    @router.get(PLACE)
    async def ask(request: Request) -> Response:
        async with site.visit(request) as visit:
            number = contract_number.normalise(request.query_params.get("number", ""))
            return await _form(visit, room, number=number, is_closed="closed" in request.query_params)

    @router.post(PLACE)
    async def look_up(request: Request) -> Response:
        async with site.visit(request) as visit:
            return await _look_up(visit, room)

    return router


async def _look_up(visit: Visit, room: ReadingRoom) -> Response:
    """A typing error is told and not counted; every other failure gets one answer, and is."""
    number, key = visit.text(typed.NUMBER), visit.text(typed.KEY)
    if found_faults := typed.faults_of(number, key):
        return await _form(visit, room, number=number, status=422, faults=_told(visit, found_faults))
    asked = handlers.Asked(number, key, visit.person, current_cause())
    refused = await handlers.open_certificate(
        visit.tx, asked, session=sessions.digest(visit.token), registering=room.registering
    )
    if refused is None:
        return visit.go(f"{PLACE}/{asked.number}")
    wait_seconds = int(refused.headers.get("Retry-After", "0"))
    refusal = Refusal(refused.slug, -(-wait_seconds // 60))
    answer = await _form(visit, room, number=number, status=refused.status, refusal=refusal)
    answer.headers.update(refused.headers)
    return answer


async def _form(
    visit: Visit,
    room: ReadingRoom,
    *,
    number: str,
    status: int = 200,
    faults: Mapping[str, list[str]] | None = None,
    refusal: Refusal | None = None,
    is_closed: bool = False,
) -> Response:
    """The form with the number in it; the key is never shown again."""
    wording = visit.site.wording
    faults = faults or {}
    values: dict[str, Any] = {
        "number": number[:LONGEST_SHOWN],
        "faults": faults,
        "entries": [(name, wording.gettext(LABELS[name]), text) for name, texts in faults.items() for text in texts],
        "refusal": refusal,
        "is_closed": is_closed,
        "open_minutes": room.open_minutes,
        "recent": await views.recent(
            visit.tx,
            principal=visit.person,
            session=sessions.digest(visit.token),
            registering=room.registering,
        ),
        # For the script that tells typing errors before the form is sent.
        "rules": {
            "alphabet": authentication_key.ALPHABET,
            "length": authentication_key.LENGTH,
            "misread": {character: wording.gettext(name) for character, name in typed.MISREAD.items()},
            "texts": {name: wording.gettext(text) for name, text in typed.TEXTS.items()},
        },
    }
    return visit.page("looking_up.html", status=status, **values)


def _told(visit: Visit, faults: list[typed.Fault]) -> dict[str, list[str]]:
    gettext = visit.site.wording.gettext
    return {
        fault.name: [gettext(typed.TEXTS[fault.text]) % {name: gettext(value) for name, value in fault.values.items()}]
        for fault in faults
    }
