"""Where an answer leads: OpenAPI links, so that a program (or a test that is one) goes on from what it was told."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

#: How a pointer of JSON writes the slashes of a path.
_SLASH: Final = "~1"


@dataclass(frozen=True)
class Link:
    """A value of one answer that is a parameter of another request."""

    #: Such as `POST /api/applications`.
    source: str
    status: int
    #: Such as `GET /api/applications/{application_id}`.
    target: str
    parameter: str
    #: JSON pointer into the answer's body.
    value: str


def leading_on(source: str, status: int, parameter: str, value: str, *targets: str) -> list[Link]:
    """One value that is the same parameter of several requests."""
    return [Link(source, status, target, parameter, value) for target in targets]


def declare(document: dict[str, Any], links: Iterable[Link]) -> None:
    """Write them into an OpenAPI document. KeyError for an answer or a request that it has not."""
    for link in links:
        target = _operation(document, link.target)
        if link.parameter not in {parameter["name"] for parameter in target["parameters"]}:
            raise KeyError(link.parameter)
        method, path = link.target.split(" ")
        answer = _operation(document, link.source)["responses"][str(link.status)]
        answer.setdefault("links", {})[target["operationId"]] = {
            "operationRef": f"#/paths/{path.replace('/', _SLASH)}/{method.lower()}",
            "parameters": {link.parameter: f"$response.body#{link.value}"},
        }


def _operation(document: dict[str, Any], name: str) -> dict[str, Any]:
    method, path = name.split(" ")
    found: dict[str, Any] = document["paths"][path][method.lower()]
    return found
