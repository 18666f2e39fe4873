"""How an application is taken over HTTP: those that come at once share a transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from chassis.postgres import Transaction
from chassis.telemetry import current_cause
from chassis.web.bearers import Bearer, answer_to, identify
from chassis.web.idempotency import Answer, Write, given_before, keep, write_of
from chassis.web.problems import Problem, documented
from chassis.web.together import Together, parted
from chassis.web.tokens import Principal, token_of
from schemas.applications import ApplicationSubmitted
from services.intake import handlers
from services.intake.forms import ApplicationForm
from services.intake.web.routes import IDEMPOTENCY_KEY, Accepted, Counter, answered

#: The body is read by hand: the idempotency key comes before validation. OpenAPI is told its shape here.
_FORM_SCHEMA = handlers.FORM.json_schema(ref_template="#/components/schemas/{model}")
FORM_DEFINITIONS: dict[str, Any] = _FORM_SCHEMA.pop("$defs")


def make_router(counter: Counter) -> APIRouter:
    router = APIRouter(prefix="/api", tags=["contractor"])
    together = Together(counter.runtime.transaction, partial(_submit, counter=counter))

    @router.post(
        "/applications",
        summary="Apply for guarantees (保証申込)",
        status_code=202,
        response_model=Accepted,
        responses=documented(400, 401, 403, 409, 422),
        openapi_extra={
            "requestBody": {"required": True, "content": {"application/json": {"schema": _FORM_SCHEMA}}},
            "parameters": [IDEMPOTENCY_KEY],
        },
    )
    async def submit(request: Request) -> JSONResponse:
        submission = _Submission(token_of(request), current_cause(), request, await request.body())
        answer, taken = await answer_to(submission, together)
        if taken is not None:
            handlers.log_taken(taken)
        return answered(answer)

    return router


@dataclass
class _Submission(Bearer):
    """A request to take an application."""

    request: Request
    body: bytes

    def read(self, person: Principal) -> tuple[Any, Write] | Problem:
        """What it says, and as which write."""
        try:
            document = handlers.parse_json(self.body)
            return document, write_of(self.request, scope=person.subject_id, document=document)
        except Problem as problem:
            return problem


#: And the application, when this was not answered before.
_Answered = tuple[Answer, ApplicationSubmitted | None]


async def _submit(
    tx: Transaction, submissions: Sequence[_Submission], *, counter: Counter
) -> list[_Answered | Problem]:
    now = counter.runtime.clock.now()
    # By the place among the submissions, from here on.
    people, strangers = await identify(tx, submissions, role="contractor", scope="applications", now=now)
    said, unreadable = parted({n: submissions[n].read(person) for n, person in people.items()})
    # Before anything is validated.
    given = dict(zip(said, await given_before(tx, [write for _, write in said.values()]), strict=True))
    before, clashing = parted({n: answer for n, answer in given.items() if answer is not None})
    forms, shapeless = parted({n: _form(said[n][0]) for n, answer in given.items() if answer is None})
    applying = {n: handlers.Applying(form, people[n], submissions[n].cause) for n, form in forms.items()}
    results = await handlers.take_applications(tx, list(applying.values()), taking=counter.taking)
    taken, refused = parted(dict(zip(applying, results, strict=True)))
    first = {n: handlers.accepted(each.application_id, "submitted") for n, each in taken.items()}
    await keep(tx, [(said[n][1], answer) for n, answer in first.items()], now=now)
    answers: dict[int, _Answered | Problem] = {
        **strangers,
        **unreadable,
        **clashing,
        **shapeless,
        **refused,
        **{n: (answer, None) for n, answer in before.items()},
        **{n: (answer, taken[n]) for n, answer in first.items()},
    }
    return [answers[n] for n in range(len(submissions))]


def _form(document: Any) -> ApplicationForm | Problem:
    try:
        return handlers.read_form(document)
    except Problem as problem:
        return problem
