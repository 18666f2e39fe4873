"""How many letters a second leave, when many are due? Beside the SMTP library, with the same letters and the same server."""

import asyncio
import contextlib
import os
import signal
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Final

from aiosmtplib import SMTP

from deploy.local.parts import ProcessSpec
from services.notifier.settings import NotifierSettings
from tests.bench.hammer import hammer
from tests.bench.latency import wishing
from tests.bench.report import Figure, progress
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

        async def registered(wanted: int) -> bool:
            return bool(await connections["registry"].fetchval("SELECT count(*) FROM certificate") == wanted)

        for number in range(rounds):
            sent = await connections["notifier"].fetchval(_SENT)
            with _held(stand, "notifier"):
                asked = [wishing(bearer, f"{uuid.uuid4().hex}@example.jp") for _ in range(count)]
                await hammer(stand.port("intake"), asked, expected=202)
                await eventually(lambda total=sent + count: registered(total), _SETTLE_SECONDS)
            before = {part: stand.cpu_seconds(part) or 0.0 for part in _PARTS}
            ours.append(await _rate(connections["notifier"], sent, sent + count))
            for part in _PARTS:
                cpu[part].append(((stand.cpu_seconds(part) or 0.0) - before[part]) / count * 1000)
            alone.append(await _alone(stand, count))
            progress.print(f"round {number + 1} of {rounds}")
    return [
        Figure("mails/s, from the first to the last", ours, "aiosmtplib", alone),
        *(Figure(f"CPU ms a mail: {part}", cpu[part]) for part in _PARTS),
    ]


@contextlib.contextmanager
def _held(stand: Stand, name: str) -> Iterator[None]:
    pid = stand.supervisor.status.part(name).pid
    assert pid is not None, f"{name} does not run"
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def _rate(notifier: Any, before: int, wanted: int) -> float:
    first: tuple[float, int] | None = None
    async with asyncio.timeout(_SETTLE_SECONDS):
        while True:
            now, sent = time.monotonic(), await notifier.fetchval(_SENT)
            if first is None and sent > before:
                first = now, sent
            if first is not None and sent >= wanted:
                return (sent - first[1]) / (now - first[0])
            await asyncio.sleep(_LOOK_EVERY_SECONDS)


async def _alone(stand: Stand, count: int) -> float:
    """The newest letters once more, over as many kept connections, by a client that does nothing else."""
    newest = (await stand.running.mails())[:count]
    async with asyncio.TaskGroup() as tasks:
        fetching = [tasks.create_task(stand.running.mail(mail["ID"])) for mail in newest]
    letters = iter([bytes(task.result()) for task in fetching])

    async def send(client: SMTP) -> None:
        async with client:
            for letter in letters:
                await client.sendmail("bench@example.jp", ["bench@example.jp"], letter)

    [spec] = [part for part in stand.parts if part.name == "notifier" and isinstance(part, ProcessSpec)]
    port = int(spec.environment()["AKASHI_SMTP_PORT"])
    clients = [SMTP(hostname="127.0.0.1", port=port, local_hostname="bench") for _ in range(_CONVERSATIONS)]
    began = time.monotonic()
    await asyncio.gather(*map(send, clients))
    return count / (time.monotonic() - began)
