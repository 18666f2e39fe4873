"""What a contractor's program can do next with an answer."""

from typing import Final

from chassis.web.links import Link, leading_on

_APPLICATIONS: Final = "/api/applications"
_APPLICATION: Final = "/api/applications/{application_id}"
_GUARANTEE: Final = "/api/guarantees/{number}"
_OF_AN_APPLICATION: Final = (
    f"GET {_APPLICATION}",
    f"POST {_APPLICATION}/withdrawal",
    f"GET {_APPLICATION}/messages",
    f"POST {_APPLICATION}/messages",
)
_OF_A_GUARANTEE: Final = (
    f"GET {_GUARANTEE}",
    f"GET {_GUARANTEE}/authentication-key",
    f"GET {_GUARANTEE}/key-notice.pdf",
    f"GET {_GUARANTEE}/certificate.pdf",
    f"GET {_GUARANTEE}/fee-statement.pdf",
)
_LISTS: Final = (f"GET {_APPLICATIONS}", "GET /api/guarantees")

LINKS: Final[tuple[Link, ...]] = (
    *leading_on(f"POST {_APPLICATIONS}", 202, "application_id", "/application_id", *_OF_AN_APPLICATION),
    *leading_on(f"GET {_APPLICATIONS}", 200, "application_id", "/items/0/application_id", *_OF_AN_APPLICATION),
    *leading_on("GET /api/guarantees", 200, "number", "/items/0/contract_number", *_OF_A_GUARANTEE),
    *(Link(page, 200, page, "cursor", "/next_cursor") for page in _LISTS),
)
