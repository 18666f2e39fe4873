"""How many letters a second leave, when many are due? Beside the SMTP library, with the same letters and the same server."""

import asyncio
import contextlib
import os
import signal
import time
import uuid
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

from aiosmtplib import SMTP

from services.notifier.settings import NotifierSettings
from tests.bench.hammer import hammer
from tests.bench.latency import registered, wishing
from tests.bench.report import Figure, progress
from tests.bench.rounds import Wrong
from tests.bench.stand import Stand, running_stand
from tests.support.waiting import eventually

_LOOK_EVERY_SECONDS: Final = 0.02
_SETTLE_SECONDS: Final = 300
_CONVERSATIONS: Final[int] = NotifierSettings.model_fields["smtp_conversations"].default
_PARTS: Final = ("notifier", "postgres", "mailbox")
_SENT: Final = "SELECT count(*) FROM letter WHERE state = 'sent'"


async def mailing(count: int, rounds: int) -> Sequence[Figure]:
    """Certificates of `count` applications are told while the notifier is held; its mails, from the first to the last."""
    ours: list[float] = []
    alone: list[float] = []
    cpu: dict[str, list[float]] = {part: [] for part in _PARTS}
    async with running_stand(without=("witness",)) as stand, stand.connected() as connections:
        contractor = await stand.running.contractor("bench")
        bearer = {"Authorization": f"Bearer {contractor.token}"}

        for number in range(rounds):
            sent = number * count
            with _held(stand, "notifier"):
                addresses = {f"{uuid.uuid4().hex}@example.jp" for _ in range(count)}
                await hammer(stand.port("intake"), [wishing(bearer, one) for one in addresses], expected=202)
                await eventually(partial(registered, connections["registry"], sent + count), _SETTLE_SECONDS)
            before = {part: stand.cpu_seconds(part) or 0.0 for part in _PARTS}
            ours.append(await _rate(connections["notifier"], sent, sent + count))
            for part in _PARTS:
                cpu[part].append(((stand.cpu_seconds(part) or 0.0) - before[part]) / count * 1000)
            alone.append(await _alone(stand, await _letters(stand, addresses)))
            progress.print(f"round {number + 1} of {rounds}")
    return [
        Figure("mails/s, from the first to the last", ours, "aiosmtplib", alone),
        *(Figure(f"CPU ms a mail: {part}", cpu[part]) for part in _PARTS),
    ]


@contextlib.contextmanager
def _held(stand: Stand, name: str) -> Iterator[None]:
    pid = stand.pid(name)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def _rate(notifier: Any, before: int, wanted: int) -> float:
    first: tuple[float, int] | None = None
    async with asyncio.timeout(_SETTLE_SECONDS):
        while True:
            now, sent = time.monotonic(), int(await notifier.fetchval(_SENT))
            if first is None and sent > before:
                first = now, sent
            if first is not None and sent >= wanted:
                return (sent - first[1]) / (now - first[0])
            await asyncio.sleep(_LOOK_EVERY_SECONDS)


async def _letters(stand: Stand, addresses: set[str]) -> list[bytes]:
    """What came to these addresses. Raises `Wrong` unless each has got one letter."""
    came = {mail["ID"]: mail["To"][0]["Address"] for mail in await stand.running.mails()}
    ours = [mail_id for mail_id, address in came.items() if address in addresses]
    if sorted(came[mail_id] for mail_id in ours) != sorted(addresses):
        raise Wrong(f"{len(ours)} mails, not one to each of {len(addresses)}")
    return [bytes(await stand.running.mail(mail_id)) for mail_id in ours]


async def _alone(stand: Stand, letters: Sequence[bytes]) -> float:
    """The same letters once more, over as many kept connections, by a client that does nothing else."""
    waiting = iter(letters)

    async def send(client: SMTP) -> None:
        async with client:
            for letter in waiting:
                await client.sendmail("bench@example.jp", ["bench@example.jp"], letter)

    port = int(stand.process("notifier").environment()["AKASHI_SMTP_PORT"])
    clients = [SMTP(hostname="127.0.0.1", port=port, local_hostname="bench") for _ in range(_CONVERSATIONS)]
    began = time.monotonic()
    await asyncio.gather(*map(send, clients))
    return len(letters) / (time.monotonic() - began)
