"""The HTTP API of what contractor and surety write to each other."""

from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from chassis.web.idempotency import once, write_of
from chassis.web.problems import documented
from services.intake import handlers
from services.intake.messages import handlers as messages
from services.intake.messages.handlers import Letter
from services.intake.web.routes import IDEMPOTENCY_KEY, Counter


class Sent(BaseModel):
    message_id: UUID


def make_router(counter: Counter) -> APIRouter:
    router = APIRouter(prefix="/api", tags=["contractor"])
    runtime, taking = counter.runtime, counter.taking

    @router.get(
        "/applications/{application_id}/messages",
        summary="What was written about an application, oldest first; the surety's count as seen",
        responses=documented(401, 403, 404, 422),
    )
    async def read_messages(request: Request, application_id: UUID) -> messages.Talk:
        async with runtime.transaction(of_one_moment=True) as tx:
            person = await counter.who(tx, request, "applications")
            return await messages.read(tx, application_id, principal=person, taking=taking)

    @router.post(
        "/applications/{application_id}/messages",
        summary="Write to the surety about an application (お客様から弊社への連絡事項)",
        status_code=202,
        response_model=Sent,
        responses=documented(400, 401, 403, 404, 409, 422),
        openapi_extra={
            "requestBody": {"required": True, "content": {"application/json": {"schema": Letter.model_json_schema()}}},
            "parameters": [IDEMPOTENCY_KEY],
        },
    )
    async def write_message(request: Request, application_id: UUID) -> JSONResponse:
        body = await request.body()
        async with runtime.transaction() as tx:
            person = await counter.who(tx, request, "applications")
            document = handlers.parse_json(body)
            answer = await once(
                tx,
                write_of(request, scope=person.subject_id, document=document),
                lambda: messages.answer_letter(tx, application_id, document, principal=person, taking=taking),
                now=runtime.clock.now(),
            )
        return JSONResponse(answer.body, status_code=answer.status)

    return router
