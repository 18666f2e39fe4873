"""How a program learns what is wrong: problem documents (RFC 9457). Input is never repeated in one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from structlog.contextvars import get_contextvars

from chassis.web.headers import ALWAYS

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
#: Of any request.
LARGEST_BODY_BYTES: Final = 64 * 1024


@dataclass(frozen=True)
class FieldError:
    """One field that cannot stay as it is, and why."""

    field: str
    #: Id of the rule in docs/domain.md, or the kind of the fault.
    rule: str
    message_ja: str
    message_en: str


class Problem(Exception):
    """Ends a request with a problem document. Rolls back the request's transaction."""

    def __init__(
        self,
        status: int,
        slug: str,
        title: str,
        *,
        detail: str | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        super().__init__(title)
        self.status = status
        self.slug = slug
        self.title = title
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})
        self.extensions = extensions

    def response(self) -> JSONResponse:
        body: dict[str, Any] = {
            "type": f"urn:akashi:problem:{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "errors": [asdict(error) for error in self.errors] or None,
            "correlation_id": get_contextvars().get("correlation_id"),
            **self.extensions,
        }
        present = {name: value for name, value in body.items() if value is not None}
        # By itself: where something of ours is broken, or no application was asked, no middleware sees the answer.
        headers = {**ALWAYS, **self.headers}
        return JSONResponse(present, status_code=self.status, media_type=MEDIA_TYPE, headers=headers)


class ProblemDocument(BaseModel):
    """The shape of every error answer, for OpenAPI."""

    type: str
    title: str
    status: int
    detail: str | None = None
    correlation_id: str | None = None
    errors: list[dict[str, str]] | None = None


_CONTENT: Final = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route: each of these statuses answers with a problem document."""
    return {
        status: {
            "model": ProblemDocument,
            "content": _CONTENT,
        }
        for status in sorted({*statuses, 503})
    }


def unavailable() -> Problem:
    return Problem(503, "unavailable", "The service cannot reach its database just now.", headers={"Retry-After": "1"})


#: What pydantic finds, in the words of the form. Kinds not listed read as "not valid".
_KINDS_JA = {
    "missing": "必須項目です。",
    "string_too_long": "長すぎます。",
    "string_too_short": "必須項目です。",
    "extra_forbidden": "この項目はありません。",
    "int_parsing": "整数を入力してください。",
    "int_type": "整数を入力してください。",
    "bool_type": "true または false を指定してください。",
    "date_from_datetime_parsing": "日付(YYYY-MM-DD)を入力してください。",
    "greater_than": "値が小さすぎます。",
    "greater_than_equal": "値が小さすぎます。",
    "less_than_equal": "値が大きすぎます。",
    "literal_error": "選択肢にありません。",
}


def field_errors(error: ValidationError | RequestValidationError, *, skip: int = 0) -> list[FieldError]:
    """What a validation found, field by field, without the values."""
    return [
        FieldError(
            field=".".join(str(part) for part in fault["loc"][skip:]) or "body",
            rule=fault["type"],
            message_ja=_KINDS_JA.get(fault["type"], "入力内容が正しくありません。"),
            message_en=fault["type"].replace("_", " ").capitalize() + ".",
        )
        for fault in error.errors()
    ]


def invalid(errors: Sequence[FieldError]) -> Problem:
    return Problem(422, "invalid", "The request cannot be accepted as it is.", errors=errors)


#: Answers a problem with a page, when the request is for one.
Page = Callable[[Request, Problem], Response | None]


def install(app: FastAPI, page: Page | None = None) -> None:
    """Make every error of `app` a problem document, or a page where a person asked for one."""

    def answer(request: Request, problem: Problem) -> Response:
        return (page(request, problem) if page is not None else None) or problem.response()

    @app.exception_handler(Problem)
    async def answer_problem(request: Request, problem: Problem) -> Response:
        return answer(request, problem)

    @app.exception_handler(RequestValidationError)
    async def answer_invalid(request: Request, error: RequestValidationError) -> Response:
        if any(fault["type"] == "json_invalid" for fault in error.errors()):
            return answer(request, not_json())
        return answer(request, invalid(field_errors(error, skip=1)))

    @app.exception_handler(HTTPException)
    async def answer_http(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return answer(request, too_large())
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(sorted(_allowed(request)))
        return answer(request, Problem(error.status_code, "http", str(error.detail), headers=headers))

    @app.exception_handler(ClientDisconnect)
    async def answer_gone(request: Request, _: ClientDisconnect) -> Response:
        # Nobody hears it; what is counted is that the rest of the request never came.
        return answer(request, too_slow())

    @app.exception_handler(Exception)
    async def answer_broken(request: Request, error: Exception) -> Response:
        log.error("request.broken", error=type(error).__name__, exc_info=error)
        return answer(request, Problem(500, "internal", "Something is wrong on our side."))


def _allowed(request: Request) -> set[str]:
    """Every method of this address (RFC 9110, 10.2.1). Starlette tells those of the first route that it finds."""
    return {
        method
        for route in iter_route_contexts(request.app.routes)
        if route.path_regex.match(request.scope["path"])
        for method in route.methods or ()
    }


async def nothing_strange(request: Request) -> None:
    """A dependency of routers: a mistyped parameter, or a body that is not said to be JSON, is told, not overlooked.
    Pages take what links bring along, and read forms.
    """
    route: APIRoute = request.scope["route"]
    if not route.include_in_schema:
        return
    if _takes_a_body(route) and _has_body(request) and not _says_json(request):
        raise unsupported_media_type()
    if not request.query_params:
        return
    known = _parameters(route.dependant)
    if strange := [name for name in request.query_params if name not in known]:
        raise RequestValidationError([{"type": "extra_forbidden", "loc": ("query", name)} for name in strange])


def _takes_a_body(route: APIRoute) -> bool:
    return route.body_field is not None or "requestBody" in (route.openapi_extra or {})


def _has_body(request: Request) -> bool:
    return "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0"


def _says_json(request: Request) -> bool:
    kind, _, rest = request.headers.get("content-type", "").partition(";")[0].strip().lower().partition("/")
    return kind == "application" and (rest == "json" or rest.endswith("+json"))


def _parameters(dependant: Dependant) -> set[str]:
    own = {parameter.alias for parameter in dependant.query_params}
    return own.union(*(_parameters(each) for each in dependant.dependencies))


def declare(document: dict[str, Any]) -> None:
    """Say in an OpenAPI document that whatever takes a body takes none that is too large, too slow in coming, or not
    said to be JSON.
    """
    statuses = (
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    )
    for operations in document["paths"].values():
        for operation in operations.values():
            if "requestBody" in operation:
                for status in statuses:
                    operation["responses"][f"{status}"] = {"description": status.phrase, "content": _CONTENT}


def too_large() -> Problem:
    return Problem(413, "too-large", f"The body is larger than {LARGEST_BODY_BYTES} bytes.")


def too_slow() -> Problem:
    return Problem(408, "too-slow", "The request did not come in time.")


def unsupported_media_type() -> Problem:
    return Problem(
        415,
        "unsupported-media-type",
        "A body is JSON, and its Content-Type says so.",
        # What would be taken (RFC 9110, 12.5.1).
        headers={"Accept": "application/json"},
    )


def not_json() -> Problem:
    return Problem(400, "not-json", "The body is not a JSON document.")
