"""The purchaser's HTTP API: number and key in, certificate out."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from chassis.postgres import Transaction
from chassis.service import Runtime
from chassis.telemetry import current_cause
from chassis.web.bearers import Bearer, answer_to, identify
from chassis.web.problems import Problem, documented
from chassis.web.together import Together, parted
from chassis.web.tokens import token_of
from documents.signing import Signer
from reference.reader import Reference
from schemas.views import CertificateViewed
from services.registry import handlers
from services.registry.log import documents
from services.registry.log.proving import Proof, prove_all

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
    together = Together(room.runtime.transaction, partial(_look_up, room=room))

    @router.post(
        "/certificates/lookup",
        summary="See a certificate with number and key (電子証書の閲覧)",
        response_model=Certificate,
        responses=documented(400, 401, 403, 404, 422, 429),
    )
    async def look_up(request: Request, body: Lookup) -> Response:
        asking = _Asking(token_of(request), current_cause(), body.contract_number, body.authentication_key)
        try:
            shown = await answer_to(asking, together)
        except Problem as problem:
            handlers.log_look(problem)
            raise
        handlers.log_look(shown.viewed)
        document = _certificate(shown.versions, shown.proof).model_dump_json()
        return Response(document, media_type="application/json")

    return router


@dataclass
class _Asking(Bearer):
    """A request to see a certificate."""

    number: str
    key: str = field(repr=False)


@dataclass(frozen=True)
class _Shown:
    versions: Sequence[Any]
    proof: Proof | None
    viewed: CertificateViewed


async def _look_up(tx: Transaction, requests: Sequence[_Asking], *, room: ReadingRoom) -> list[_Shown | Problem]:
    # By the place among the requests, from here on.
    now = room.runtime.clock.now()
    people, strangers = await identify(tx, requests, role="purchaser", scope="lookup", now=now)
    asked = {
        n: handlers.Asked(requests[n].number, requests[n].key, person, requests[n].cause)
        for n, person in people.items()
    }
    results = await handlers.find(tx, list(asked.values()), registering=room.registering)
    found, refused = parted(dict(zip(asked, results, strict=True)))
    looks = {n: handlers.Look(asked[n], versions) for n, versions in found.items()}
    # Before the looks are recorded: from then on all who append wait for us.
    registrations = {look.latest["certificate_id"]: documents.of_registered(look.latest) for look in looks.values()}
    proofs = await prove_all(tx, registrations)
    viewed = await handlers.record_looks(tx, list(looks.values()), registering=room.registering)
    shown = {
        n: _Shown(look.versions, proofs[view.certificate_id], view)
        for (n, look), view in zip(looks.items(), viewed, strict=True)
    }
    answers: dict[int, _Shown | Problem] = {**strangers, **refused, **shown}
    return [answers[n] for n in range(len(requests))]


def _certificate(versions: Sequence[Any], proof: Proof | None) -> Certificate:
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
        proof=proof.document if proof is not None else None,
    )
