"""The registry is rebuilt and swapped in while people apply, look up and see their mails."""

import asyncio
import uuid

import httpx

from console.audit.rebuild import rebuild
from console.audit.rebuild_swap import LONGEST_SECONDS
from console.audit.replay import replay
from console.store import connect
from tests.fault.load import has_come_to_its_end, send
from tests.support.running import RunningStack
from tests.support.waiting import eventually

#: Damage done before each rebuild but the first, of which nobody may be left to see anything. $1 contract number
DAMAGE = "UPDATE certificate SET registered_at = registered_at - interval '1 day' WHERE contract_number = $1"


async def test_purchasers_go_on_viewing_while_the_registry_is_rebuilt(stack: RunningStack) -> None:
    contractor = await stack.contractor(f"rebuilt-{uuid.uuid4().hex[:8]}")
    purchaser = await stack.purchaser("tochigi")
    sent = await send(contractor, 12)
    await eventually(lambda: has_come_to_its_end(contractor, sent), 60)
    numbers = [
        one["contract_number"] for one in await contractor.all_items("/api/guarantees") if one["form"] == "electronic"
    ]
    keys = {
        number: (await contractor.document(f"/api/guarantees/{number}/authentication-key"))["authentication_key"]
        for number in numbers
    }
    ended = asyncio.Event()
    views = 0

    async def look_up(one: int) -> None:
        nonlocal views
        # A connection each: one that was idle for long may be closed from the other side at that very moment.
        anew = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=stack.url("registry"), timeout=20, limits=anew) as client:
            client.headers["Authorization"] = f"Bearer {purchaser.token}"
            while not ended.is_set():
                number = numbers[(one + views) % len(numbers)]
                asked = {"contract_number": number, "authentication_key": keys[number]}
                answer = await client.post("/api/certificates/lookup", json=asked)
                assert answer.status_code == httpx.codes.OK, answer.text
                assert answer.json()["contract_number"] == number
                views += 1

    async def rebuild_thrice() -> int:
        try:
            for damaged in (None, *numbers[:2]):
                if damaged:
                    async with connect(stack.console, "registry") as registry:
                        await registry.execute(DAMAGE, damaged)
                done = await rebuild(stack.console)
                assert done.swapped, done.refusals
                assert done.waited_seconds < LONGEST_SECONDS + 0.5
                assert {each.subject for each in done.differences} == ({damaged} if damaged else set())
            return done.certificates
        finally:
            ended.set()

    viewing = [asyncio.create_task(look_up(one)) for one in range(3)]
    applying = asyncio.create_task(send(contractor, 60))
    certificates = await rebuild_thrice()
    await asyncio.gather(*viewing)
    more = await applying
    await eventually(lambda: has_come_to_its_end(contractor, more), 60)

    assert certificates >= sent.electronic
    assert views > 30
    assert (await stack.audit()).equal
    assert (await replay(stack.console)).differences == ()
    async with connect(stack.console, "registry") as registry:
        held = await registry.fetchval("SELECT count(*) FROM view WHERE account_id = $1", purchaser.account_id)
    assert held == views
