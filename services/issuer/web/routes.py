"""The desk's HTTP API: what waits for a person, and what the person decides and writes."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, StringConstraints
from uuid_utils.compat import uuid7

from chassis.postgres import Transaction
from chassis.service import Runtime
from chassis.web.paging import Cursor, Limit
from chassis.web.problems import documented
from chassis.web.tokens import Principal, authenticate
from reference.codes import PRODUCTS
from schemas.contract_number import is_well_formed, normalise
from services.issuer import handlers, issuance, messages, views

#: Lines of what can be printed (FORM-14): a reader's database would refuse the rest.
PRINTABLE: Final = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
ONE_OF_THEM: Final = f"^({'|'.join(PRODUCTS)})$"
#: Names a message by who sends it and the caller's key, so that a repeat is the same message.
MESSAGE_IDS: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:akashi:message")

ProductFilter = Annotated[str | None, Query(max_length=64, pattern=ONE_OF_THEM, description="With this product only")]
Wanted = Annotated[str, Query(max_length=200, description="A part of a name, a contract number, an application's id")]
RepeatKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=200,
        description="Under the same key a message is sent once, and another is refused",
    ),
]


class Reason(BaseModel):
    """What the desk tells the contractor; of a rejection, the colleague."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    message: Annotated[str, StringConstraints(max_length=4000, pattern=PRINTABLE)] = ""


class Seen(BaseModel):
    """Which proposal the person looked at."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    #: Another one in its place is refused.
    proposed_at: datetime | None = None


class RejectionReason(Reason, Seen):
    """Why a proposal is rejected."""


class NewMessage(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    text: Annotated[str, StringConstraints(min_length=1, max_length=4000, pattern=PRINTABLE)]


class Decided(BaseModel):
    application_id: UUID
    outcome: str
    decided_at: datetime
    decided_by: str


class Proposed(BaseModel):
    """Nothing is decided yet: another person has to approve."""

    application_id: UUID
    proposed: views.Proposal


class Rejected(BaseModel):
    application_id: UUID
    rejected_at: datetime
    rejected_by: str


class Printed(BaseModel):
    contract_number: str
    printed_at: datetime


class Messages(BaseModel):
    items: list[views.Message]


#: Of a decision, where the surety's profile asks for four eyes.
PROPOSED: Final[dict[int | str, dict[str, Any]]] = {202: {"model": Proposed, "description": "Waits for approval"}}


@dataclass(frozen=True)
class Desk:
    """What the routes need."""

    runtime: Runtime
    issuing: issuance.Issuing
    private_key: bytes = field(repr=False)

    async def who(self, tx: Transaction, request: Request) -> Principal:
        return await authenticate(tx, request, role="desk", scope="desk", now=self.runtime.clock.now())


def make_router(desk: Desk) -> APIRouter:
    router = APIRouter(prefix="/api/desk", tags=["desk"])
    add_reading(router, desk)
    add_deciding(router, desk)
    add_messages(router, desk)
    add_paper(router, desk)
    return router


def add_reading(router: APIRouter, desk: Desk) -> None:
    runtime = desk.runtime

    @router.get(
        "/applications", summary="What waits for a person, the longest first", responses=documented(401, 403, 422)
    )
    async def list_queue(
        request: Request, limit: Limit = 20, cursor: Cursor = None, product: ProductFilter = None
    ) -> views.Queue:
        async with runtime.transaction(of_one_moment=True) as tx:
            person = await desk.who(tx, request)
            return await views.queue(tx, person.subject_id, cursor=cursor, limit=limit, product=product)

    @router.get("/applications/{application_id}", summary="All facts of one", responses=documented(401, 403, 404, 422))
    async def get_application(request: Request, application_id: UUID) -> views.DeskApplication:
        async with runtime.transaction(of_one_moment=True) as tx:
            person = await desk.who(tx, request)
            found = await views.application(
                tx,
                application_id,
                person.subject_id,
                private_key=desk.private_key,
                reference=desk.issuing.reference,
            )
            if found is None:
                raise handlers.not_found()
            return found

    @router.get("/search", summary="Applications in any state, the newest first", responses=documented(401, 403, 422))
    async def search(
        request: Request,
        q: Wanted = "",
        status: views.Status | None = None,
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> views.Found:
        async with runtime.transaction(of_one_moment=True) as tx:
            person = await desk.who(tx, request)
            return await views.search(tx, person.subject_id, query=q, status=status, cursor=cursor, limit=limit)


def add_deciding(router: APIRouter, desk: Desk) -> None:
    runtime = desk.runtime

    @router.post(
        "/applications/{application_id}/accept",
        summary="Accept, or propose to; repeating it changes nothing",
        response_model=Decided,
        responses=documented(400, 401, 403, 404, 409, 422) | PROPOSED,
    )
    async def accept(request: Request, application_id: UUID, body: Reason) -> Any:
        return await decide(request, application_id, "accepted", body.message)

    @router.post(
        "/applications/{application_id}/return",
        summary="Return with a message, or propose to; final once decided",
        response_model=Decided,
        responses=documented(400, 401, 403, 404, 409, 422) | PROPOSED,
    )
    async def return_(request: Request, application_id: UUID, body: Reason) -> Any:
        return await decide(request, application_id, "returned", body.message)

    @router.post(
        "/applications/{application_id}/approve",
        summary="Approve what another person proposed: decides",
        responses=documented(400, 401, 403, 404, 409, 422),
    )
    async def approve(request: Request, application_id: UUID, body: Seen | None = None) -> Decided:
        async with runtime.transaction() as tx:
            person = await desk.who(tx, request)
            decided = await handlers.approve(
                tx,
                application_id,
                principal=person,
                issuing=desk.issuing,
                proposed_at=body.proposed_at if body else None,
            )
            return decided_of(application_id, decided)

    @router.post(
        "/applications/{application_id}/reject",
        summary="Reject a proposal: the application waits again",
        responses=documented(400, 401, 403, 404, 409, 422),
    )
    async def reject(request: Request, application_id: UUID, body: RejectionReason) -> Rejected:
        async with runtime.transaction() as tx:
            person = await desk.who(tx, request)
            at = await handlers.reject(
                tx,
                application_id,
                principal=person,
                message=body.message,
                issuing=desk.issuing,
                proposed_at=body.proposed_at,
            )
            return Rejected(application_id=application_id, rejected_at=at, rejected_by=person.person)

    async def decide(request: Request, application_id: UUID, outcome: str, message: str) -> Decided | JSONResponse:
        async with runtime.transaction() as tx:
            person = await desk.who(tx, request)
            made = await handlers.decide_at_desk(
                tx, application_id, principal=person, outcome=outcome, message=message, issuing=desk.issuing
            )
        if isinstance(made, handlers.DeskDecision):
            return decided_of(application_id, made)
        waits = Proposed(
            application_id=application_id, proposed=views.Proposal.model_validate(made, from_attributes=True)
        )
        return JSONResponse(jsonable_encoder(waits), status_code=202)


def decided_of(application_id: UUID, decided: handlers.DeskDecision) -> Decided:
    return Decided(
        application_id=application_id,
        outcome=decided.outcome,
        decided_at=decided.decided_at,
        decided_by=decided.decider,
    )


def add_messages(router: APIRouter, desk: Desk) -> None:
    runtime = desk.runtime

    @router.get(
        "/applications/{application_id}/messages",
        summary="What contractor and desk wrote, the oldest first",
        responses=documented(401, 403, 404, 422),
    )
    async def list_messages(request: Request, application_id: UUID) -> Messages:
        async with runtime.transaction(of_one_moment=True) as tx:
            person = await desk.who(tx, request)
            return await written(tx, application_id, person)

    @router.post(
        "/applications/{application_id}/messages",
        summary="Write to the contractor; answers with all that was written",
        status_code=201,
        responses=documented(400, 401, 403, 404, 409, 422),
    )
    async def write(request: Request, application_id: UUID, body: NewMessage, repeat_key: RepeatKey = None) -> Messages:
        async with runtime.transaction() as tx:
            person = await desk.who(tx, request)
            name = f"{application_id}|{person.account_id}|{repeat_key}"
            await messages.write_to_contractor(
                tx,
                application_id,
                body.text,
                principal=person,
                issuing=desk.issuing,
                private_key=desk.private_key,
                message_id=uuid7() if repeat_key is None else uuid.uuid5(MESSAGE_IDS, name),
            )
            return await written(tx, application_id, person)

    async def written(tx: Transaction, application_id: UUID, person: Principal) -> Messages:
        found = await views.messages(tx, application_id, person.subject_id, private_key=desk.private_key)
        if found is None:
            raise handlers.not_found()
        return Messages(items=found)


def add_paper(router: APIRouter, desk: Desk) -> None:
    runtime = desk.runtime

    @router.get("/paper", summary="Certificates to print", responses=documented(401, 403, 422))
    async def list_paper(request: Request, limit: Limit = 20, cursor: Cursor = None) -> views.ToPrint:
        async with runtime.transaction(of_one_moment=True) as tx:
            person = await desk.who(tx, request)
            return await views.to_print(tx, person.subject_id, cursor=cursor, limit=limit)

    @router.post(
        "/paper/{contract_number}/printed",
        summary="Take one off the list to print",
        responses=documented(401, 403, 404, 422),
    )
    async def mark_printed(request: Request, contract_number: str) -> Printed:
        async with runtime.transaction() as tx:
            person = await desk.who(tx, request)
            number = normalise(contract_number)
            if not is_well_formed(number):
                raise handlers.not_found()
            at = await handlers.mark_printed(tx, number, principal=person, now=runtime.clock.now())
            return Printed(contract_number=number, printed_at=at)
