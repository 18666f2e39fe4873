"""What the desk's program can do next with an answer."""

from typing import Final

from chassis.web.links import Link, leading_on

_APPLICATION: Final = "/api/desk/applications/{application_id}"
_QUEUE: Final = "GET /api/desk/applications"
_SEARCH: Final = "GET /api/desk/search"
_PAPER: Final = "GET /api/desk/paper"
_OF_AN_APPLICATION: Final = (
    f"GET {_APPLICATION}",
    *(f"POST {_APPLICATION}/{decision}" for decision in ("accept", "return", "approve", "reject")),
    f"GET {_APPLICATION}/messages",
    f"POST {_APPLICATION}/messages",
)

LINKS: Final[tuple[Link, ...]] = (
    *leading_on(_QUEUE, 200, "application_id", "/items/0/application_id", *_OF_AN_APPLICATION),
    *leading_on(_SEARCH, 200, "application_id", "/items/0/application_id", f"GET {_APPLICATION}"),
    *leading_on(
        _PAPER, 200, "contract_number", "/items/0/contract_number", "POST /api/desk/paper/{contract_number}/printed"
    ),
    *(Link(page, 200, page, "cursor", "/next_cursor") for page in (_QUEUE, _SEARCH, _PAPER)),
)
