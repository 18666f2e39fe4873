"""What people do while something is struck: decide at the desk, withdraw, write to each other, look certificates up."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

import httpx

from tests.fault.load import Sent, send
from tests.support.builders import an_advance_payment, an_application_form
from tests.support.running import Client, Document
from tests.support.waiting import eventually

#: Of whatever somebody waits for before they go on.
PATIENCE_SECONDS: Final = 180
#: As shares of the price: above the surety's limit, and so small that no other limit is met.
PRICE_YEN: Final = 500_000
AMOUNT_YEN: Final = 240_000


@dataclass
class People:
    """A contractor's person, one at the surety's desk and one at the purchaser. What they were told is in `sent`."""

    contractor: Client
    desk: Client
    purchaser: Client
    sent: Sent

    async def one_round(self) -> None:
        """Four applications that the rules leave to a person: what becomes of each, somebody says."""
        accepted, returned, withdrawn, contested = [await self._apply() for _ in range(4)]
        await asyncio.gather(*(self._waits(each) for each in (accepted, returned, withdrawn, contested)))
        await self._write(accepted)
        assert await self._decide(accepted, "accept")
        assert await self._decide(returned, "return")
        assert await self._withdraw(withdrawn)
        decided, _ = await asyncio.gather(self._decide(contested, "accept"), self._withdraw(contested))
        self._ends(accepted, "issued")
        self._ends(returned, "returned")
        self._ends(withdrawn, "withdrawn")
        self._ends(contested, "issued" if decided else "withdrawn")
        await self._look_up(accepted)

    def _ends(self, application_id: str, status: str) -> None:
        self.sent.answered_at = time.time()
        self.sent.ends[application_id] = {"advance_payment": status}
        self.sent.wished_mails += status == "issued"

    async def _apply(self) -> str:
        key = uuid.uuid4().hex
        form = an_application_form(
            works__price_yen=PRICE_YEN,
            products__advance_payment=an_advance_payment(amount_yen=AMOUNT_YEN),
            mail_address=f"{key[:12]}@desk.example",
        )
        application_id = await self.contractor.apply(form, key)
        self.sent.letters_to[application_id] = form["mail_address"]
        return application_id

    async def _waits(self, application_id: str) -> None:
        path = f"/api/desk/applications/{application_id}"

        async def is_there() -> bool:
            return (await self.desk.call("GET", path)).status_code == httpx.codes.OK

        await eventually(is_there, PATIENCE_SECONDS)

    async def _write(self, application_id: str) -> None:
        """Each to the other, once however often it is sent."""
        texts = f"工期について　{uuid.uuid4().hex}", f"承知しました　{uuid.uuid4().hex}"
        asks = partial(self._sent, self.contractor, f"/api/applications/{application_id}/messages", texts[0])
        answers = partial(self._sent, self.desk, f"/api/desk/applications/{application_id}/messages", texts[1])
        # Before the data key has come, nobody at the desk can write.
        await asyncio.gather(eventually(asks, PATIENCE_SECONDS), eventually(answers, PATIENCE_SECONDS))
        self.sent.written[application_id] = texts

    async def _sent(self, by: Client, path: str, text: str) -> bool:
        key = uuid.uuid5(uuid.NAMESPACE_OID, text).hex
        answer = await by.call("POST", path, {"text": text}, **{"Idempotency-Key": key})
        return answer.is_success

    async def _decide(self, application_id: str, how: str) -> bool:
        """Whether it was still for the desk to decide."""
        path = f"/api/desk/applications/{application_id}/{how}"
        answer = await self.desk.call("POST", path, {"message": "見本"})
        assert answer.status_code in {httpx.codes.OK, httpx.codes.CONFLICT}, answer.text
        return answer.is_success

    async def _withdraw(self, application_id: str) -> bool:
        """Whether it was not decided yet."""
        path = f"/api/applications/{application_id}/withdrawal"
        answer = await self.contractor.call("POST", path, None, **{"Idempotency-Key": uuid.uuid4().hex})
        assert answer.status_code in {httpx.codes.ACCEPTED, httpx.codes.CONFLICT}, answer.text
        return answer.is_success

    async def _look_up(self, application_id: str) -> None:
        """As soon as the contractor was mailed: then the purchaser can see it."""

        async def number() -> str | None:
            found = await self.contractor.document(f"/api/applications/{application_id}")
            issued: str | None = found["products"][0]["contract_number"]
            return issued if issued and (await self._guarantee(issued))["mail"] else None

        issued = await eventually(number, PATIENCE_SECONDS)
        await look_up(self.contractor, self.purchaser, issued)
        self.sent.opened.add(issued)

    async def _guarantee(self, number: str) -> Document:
        return await self.contractor.document(f"/api/guarantees/{number}")


async def look_up(contractor: Client, purchaser: Client, number: str) -> None:
    """The purchaser opens a certificate with the key that the contractor hands out."""
    key = (await contractor.document(f"/api/guarantees/{number}/authentication-key"))["authentication_key"]
    body = {"contract_number": number, "authentication_key": key}
    answer = await purchaser.call("POST", "/api/certificates/lookup", body)
    assert answer.status_code == httpx.codes.OK, answer.text


async def people_of(contractor: Client, sent: Sent) -> People:
    stack = contractor.stack
    return People(contractor, await stack.desk("toto"), await stack.purchaser("tochigi"), sent)


@asynccontextmanager
async def steady_load(
    contractor: Client, sent: Sent, *, round_of: int = 6, every_seconds: float = 1
) -> AsyncIterator[None]:
    """As long as the block lasts, applications come in, a round each second, and people do one round after the other.

    Everything is answered in the end, and noted in `sent`.
    """
    people, over = await people_of(contractor, sent), asyncio.Event()

    async def applications() -> None:
        while True:
            await send(contractor, round_of, sent=sent)
            with suppress(TimeoutError):
                async with asyncio.timeout(every_seconds):
                    await over.wait()
            if over.is_set():
                return

    async def decisions() -> None:
        while not over.is_set():
            await people.one_round()

    async with asyncio.TaskGroup() as working:
        working.create_task(applications())
        working.create_task(decisions())
        try:
            yield
        finally:
            over.set()
