"""The desk's HTTP API: what waits for a person, and what the person decides."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, StringConstraints

from chassis.postgres import Transaction
from chassis.service import Runtime
from chassis.web.paging import Cursor, Limit, read_cursor
from chassis.web.problems import documented
from chassis.web.tokens import Principal, authenticate
from schemas.contract_number import is_well_formed, normalise
from services.issuer import handlers, views


class Message(BaseModel):
    """What the desk tells the contractor."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    #: Lines of what can be printed (FORM-14): a reader's database would refuse the rest.
    message: Annotated[str, StringConstraints(max_length=4000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")] = ""


class Decided(BaseModel):
    application_id: UUID
    outcome: str
    decided_at: datetime
    decided_by: str


class Printed(BaseModel):
    contract_number: str
    printed_at: datetime


@dataclass(frozen=True)
class Desk:
    """What the routes need."""

    runtime: Runtime
    issuing: handlers.Issuing
    private_key: bytes = field(repr=False)

    async def who(self, tx: Transaction, request: Request) -> Principal:
        return await authenticate(tx, request, role="desk", scope="desk", now=self.runtime.clock.now())


def make_router(desk: Desk) -> APIRouter:
    router = APIRouter(prefix="/api/desk", tags=["desk"])
    runtime = desk.runtime

    @router.get("/applications", summary="What waits for a person", responses=documented(401, 403, 422))
    async def list_queue(request: Request, limit: Limit = 20, cursor: Cursor = None) -> views.Queue:
        async with runtime.transaction() as tx:
            person = await desk.who(tx, request)
            return await views.queue(tx, person.subject_id, after=read_cursor(cursor, UUID)[0], limit=limit)

    @router.get("/applications/{application_id}", summary="All facts of one", responses=documented(401, 403, 404, 422))
    async def get_application(request: Request, application_id: UUID) -> views.DeskApplication:
        async with runtime.transaction() as tx:
            person = await desk.who(tx, request)
            found = await views.application(tx, application_id, person.subject_id, private_key=desk.private_key)
            if found is None:
                raise handlers.not_found()
            return found

    @router.post(
        "/applications/{application_id}/accept",
        summary="Accept; repeating it changes nothing",
        responses=documented(400, 401, 403, 404, 409, 422),
    )
    async def accept(request: Request, application_id: UUID, body: Message) -> Decided:
        return await decide(request, application_id, "accepted", body.message)

    @router.post(
        "/applications/{application_id}/return",
        summary="Return with a message; final",
        responses=documented(400, 401, 403, 404, 409, 422),
    )
    async def return_(request: Request, application_id: UUID, body: Message) -> Decided:
        return await decide(request, application_id, "returned", body.message)

    async def decide(request: Request, application_id: UUID, outcome: str, message: str) -> Decided:
        async with runtime.transaction() as tx:
            person = await desk.who(tx, request)
            decided_at = await handlers.decide_at_desk(
                tx, application_id, principal=person, outcome=outcome, message=message, issuing=desk.issuing
            )
            return Decided(
                application_id=application_id, outcome=outcome, decided_at=decided_at, decided_by=person.person
            )

    @router.get("/paper", summary="Certificates to print", responses=documented(401, 403, 422))
    async def list_paper(request: Request, limit: Limit = 20, cursor: Cursor = None) -> views.ToPrint:
        async with runtime.transaction() as tx:
            person = await desk.who(tx, request)
            return await views.to_print(tx, person.subject_id, after=read_cursor(cursor, UUID)[0], limit=limit)

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

    return router
