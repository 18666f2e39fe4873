"""What does a credit service (信用照会) say of a contractor? Asked over HTTP, before any transaction is open."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Literal
from uuid import UUID

import httpx
import structlog
from pydantic import BaseModel, ValidationError

from chassis.clock import Clock
from chassis.consumer import Handler
from chassis.decoding import Received
from schemas.applications import ApplicationSubmitted
from schemas.decisions import OutsideFact
from schemas.event import Line
from services.issuer import domain

log = structlog.get_logger()


class Answer(BaseModel):
    """What the credit service answers with status 200; more fields are none of our business."""

    answer: Literal["clear", "refer"]
    reference: Line | None = None


class CreditCheck:
    """Asks one credit service.

    `POST url` with `{"application_id", "surety_id", "contractor_id", "contractor_name", "amount_yen"}`, and
    `Idempotency-Key` the application's id, since a record that is delivered again is asked about again; with a `token`,
    as its bearer (RFC 6750). Anything but an `Answer` within `seconds` is `unavailable`: a person decides then (LIM-4),
    and nobody's application waits for it. At most `at_once` questions are on their way, on as many connections.
    """

    def __init__(self, url: str, seconds: float, token: str | None = None, *, at_once: int = 64) -> None:
        self._url = url
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._seconds = seconds
        self._tls = ssl.create_default_context()
        self._turns = asyncio.Semaphore(at_once)

    async def ask(self, events: Iterable[ApplicationSubmitted], clock: Clock) -> dict[UUID, tuple[OutsideFact, ...]]:
        """The answers for all, asked side by side. Raises nothing that the other side could cause."""
        now = clock.now()
        # Of one poll only: between two polls nobody holds a connection that the other side may have left.
        async with httpx.AsyncClient(verify=self._tls, timeout=self._seconds, trust_env=False) as client:
            asked = {event.application_id: event for event in events}
            facts = await asyncio.gather(*(self._one(client, event, now) for event in asked.values()))
        return {application_id: (fact,) for application_id, fact in zip(asked, facts, strict=True)}

    async def inform(
        self, decide: Callable[..., Awaitable[None]], clock: Clock, batch: Sequence[Received[ApplicationSubmitted]]
    ) -> Handler:
        """`decide`, with the answers for the batch as its `outside` (DEC-9)."""
        return partial(decide, outside=await self.ask((received.event for received in batch), clock))

    async def _one(self, client: httpx.AsyncClient, event: ApplicationSubmitted, now: datetime) -> OutsideFact:
        application_id = str(event.application_id)
        question = {
            "application_id": application_id,
            "surety_id": event.surety_id,
            "contractor_id": event.contractor.id,
            "contractor_name": event.contractor.name,
            "amount_yen": sum(applied.amount_yen for applied in event.products),
        }
        try:
            async with self._turns, asyncio.timeout(self._seconds):
                headers = {"Idempotency-Key": application_id, **self._headers}
                response = await client.post(self._url, json=question, headers=headers)
            answer = Answer.model_validate_json(response.raise_for_status().content, strict=True)
        except (httpx.HTTPError, TimeoutError, ValidationError) as error:
            # Not its words: they are somebody else's text.
            log.warning("credit_check.unavailable", application_id=application_id, error=type(error).__name__)
            return OutsideFact(source=domain.CREDIT, answer=domain.UNAVAILABLE, asked_at=now)
        return OutsideFact(source=domain.CREDIT, answer=answer.answer, asked_at=now, reference=answer.reference)
