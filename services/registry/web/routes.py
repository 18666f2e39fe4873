"""The purchaser's HTTP API: number and key in, certificate out."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from chassis.postgres import Transaction
from chassis.service import Runtime
from chassis.web.problems import Problem, documented
from chassis.web.tokens import authenticate
from documents.signing import Signer
from reference.reader import Reference
from services.registry import handlers
from services.registry.log import documents
from services.registry.log.proving import prove

Typed = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class Lookup(BaseModel):
    """What the contractor handed over. Spaces and full width are forgiven."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    contract_number: Typed = Field(description="保証契約番号")
    authentication_key: Typed = Field(description="認証キー")


class Version(BaseModel):
    """A line of the history."""

    version: int
    change_number: int
    kind: str
    registered_at: datetime = Field(description="電子保証発行日時")
    content_sha256: str


class Certificate(BaseModel):
    """電子証書, as the contractor sees it too."""

    certificate_id: UUID
    contract_number: str
    version: int
    product: str
    registered_at: datetime = Field(description="電子保証発行日時: when it arrived here")
    content: dict[str, Any]
    content_sha256: str
    history: list[Version]
    proof: dict[str, Any] | None = Field(
        description="akashi-proof/1: the registration is in the log. Null for the seconds until a checkpoint covers it"
    )


@dataclass(frozen=True)
class ReadingRoom:
    """What the routes need. (閲覧室)"""

    runtime: Runtime
    registering: handlers.Registering
    reference: Reference
    #: Answers for the PDFs.
    signer: Signer

    @property
    def open_minutes(self) -> int:
        return int(self.registering.open_for.total_seconds() // 60)


def make_router(room: ReadingRoom) -> APIRouter:
    router = APIRouter(prefix="/api", tags=["purchaser"])
    runtime, registering = room.runtime, room.registering

    @router.post(
        "/certificates/lookup",
        summary="See a certificate with number and key (電子証書の閲覧)",
        response_model=Certificate,
        responses=documented(400, 401, 403, 404, 422, 429),
    )
    async def look_up(request: Request, body: Lookup) -> JSONResponse:
        async with runtime.transaction() as tx:
            person = await authenticate(tx, request, role="purchaser", scope="lookup", now=runtime.clock.now())
            found = await handlers.find(
                tx, body.contract_number, body.authentication_key, principal=person, registering=registering
            )
            if not isinstance(found, Problem):
                # Before the look is recorded: from then on all who append wait for us.
                proof = await _proof(tx, found[0])
                await handlers.record_look(tx, found[0], principal=person, registering=registering)
        if isinstance(found, Problem):
            raise found
        return JSONResponse(_certificate(found, proof).model_dump(mode="json"), headers={"Cache-Control": "no-store"})

    return router


async def _proof(tx: Transaction, latest: Any) -> dict[str, Any] | None:
    names = ("certificate_id", "contract_number", "version", "content_sha256", "registered_at")
    registration = documents.of_registration(**{name: latest[name] for name in names})
    proof = await prove(tx, latest["certificate_id"], registration)
    return proof.document if proof is not None else None


def _certificate(versions: Sequence[Any], proof: dict[str, Any] | None) -> Certificate:
    """The latest of the versions, which comes first."""
    latest = versions[0]
    return Certificate(
        certificate_id=latest["certificate_id"],
        contract_number=latest["contract_number"],
        version=latest["version"],
        product=latest["product"],
        registered_at=latest["registered_at"],
        content=json.loads(latest["content"]),
        content_sha256=latest["content_sha256"],
        history=[
            Version(
                version=row["version"],
                change_number=row["change_number"],
                kind=json.loads(row["content"])["kind"],
                registered_at=row["registered_at"],
                content_sha256=row["content_sha256"],
            )
            for row in versions
        ],
        proof=proof,
    )
