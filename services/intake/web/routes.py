"""The contractor's HTTP API: apply, follow, withdraw, and fetch the key."""

from dataclasses import dataclass
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from chassis.postgres import Transaction
from chassis.service import Runtime
from chassis.web.idempotency import Answer, once, write_of
from chassis.web.paging import Cursor, Limit
from chassis.web.problems import documented
from chassis.web.tokens import Principal, authenticate
from services.intake import handlers, views

IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
    "description": "New for each new request. The same key with the same body gets the same answer.",
}


class Accepted(BaseModel):
    application_id: UUID
    status: str


class AuthenticationKey(BaseModel):
    """認証キー, to be handed to the purchaser by the contractor."""

    contract_number: str
    authentication_key: str


@dataclass(frozen=True)
class Counter:
    """What the routes need. (受付窓口)"""

    runtime: Runtime
    taking: handlers.Taking

    async def who(self, tx: Transaction, request: Request, scope: str) -> Principal:
        return await authenticate(tx, request, role="contractor", scope=scope, now=self.runtime.clock.now())


def make_router(counter: Counter) -> APIRouter:
    router = APIRouter(prefix="/api", tags=["contractor"])
    runtime, taking = counter.runtime, counter.taking

    @router.get("/applications", summary="Own applications, newest first", responses=documented(401, 403, 422))
    async def list_applications(request: Request, limit: Limit = 20, cursor: Cursor = None) -> views.Applications:
        async with runtime.transaction(of_one_moment=True) as tx:
            person = await counter.who(tx, request, "applications")
            return await views.applications(tx, person.subject_id, cursor=cursor, limit=limit)

    @router.get("/applications/{application_id}", summary="One application", responses=documented(401, 403, 404, 422))
    async def get_application(request: Request, application_id: UUID) -> views.Application:
        async with runtime.transaction(of_one_moment=True) as tx:
            person = await counter.who(tx, request, "applications")
            found = await views.application(tx, application_id, person.subject_id, taking=taking)
            if found is None:
                raise handlers.not_found()
            return found

    @router.post(
        "/applications/{application_id}/withdrawal",
        summary="Ask to withdraw before the decision (取下げ)",
        status_code=202,
        response_model=Accepted,
        responses=documented(400, 401, 403, 404, 409, 422),
        openapi_extra={"parameters": [IDEMPOTENCY_KEY]},
    )
    async def withdraw(request: Request, application_id: UUID) -> JSONResponse:
        async with runtime.transaction() as tx:
            person = await counter.who(tx, request, "applications")
            answer = await once(
                tx,
                write_of(request, scope=person.subject_id, document=None),
                lambda: handlers.request_withdrawal(tx, application_id, principal=person, taking=taking),
                now=runtime.clock.now(),
            )
        return answered(answer)

    @router.get("/guarantees", summary="Own guarantees (保証契約一覧)", responses=documented(401, 403, 422))
    async def list_guarantees(request: Request, limit: Limit = 20, cursor: Cursor = None) -> views.Guarantees:
        async with runtime.transaction(of_one_moment=True) as tx:
            person = await counter.who(tx, request, "guarantees")
            return await views.guarantees(tx, person.subject_id, cursor=cursor, limit=limit)

    @router.get(
        "/guarantees/{number}",
        summary="One guarantee with its history (電子保証履歴一覧)",
        responses=documented(401, 403, 404),
    )
    async def get_guarantee(request: Request, number: str) -> views.GuaranteeDetail:
        async with runtime.transaction(of_one_moment=True) as tx:
            person = await counter.who(tx, request, "guarantees")
            found = await views.guarantee(tx, handlers.read_number(number), person.subject_id)
            if found is None:
                raise handlers.not_found()
            return found

    @router.get(
        "/guarantees/{number}/authentication-key",
        summary="The key to hand to the purchaser (認証キー); each look is recorded",
        response_model=AuthenticationKey,
        responses=documented(401, 403, 404),
    )
    async def get_key(request: Request, number: str) -> JSONResponse:
        async with runtime.transaction(of_one_moment=True) as tx:
            person = await counter.who(tx, request, "guarantees")
            number = handlers.read_number(number)
            key = await handlers.disclose_key(tx, number, principal=person, taking=taking)
        return JSONResponse({"contract_number": number, "authentication_key": key})

    return router


def answered(answer: Answer) -> JSONResponse:
    location = {"Location": f"/api/applications/{answer.body['application_id']}"}
    return JSONResponse(answer.body, status_code=answer.status, headers=location)
