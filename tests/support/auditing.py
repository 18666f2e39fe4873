"""The auditor's check, with which every fault test ends."""

import asyncio
import json
import re
import sys
from pathlib import Path

from console import store
from console.audit.compare import Report
from console.audit.export import export
from console.audit.export_progress import Silent
from console.audit.fold import Difference
from console.audit.replay import replay
from console.audit.replay_intake import IntakeKeeps
from console.audit.replay_issuer import IssuerKeeps
from console.audit.replay_kept import replay_kept
from console.audit.replay_notifier import NotifierKeeps
from deploy.local.state import CLONE
from schemas import publish
from tests.support.running import RunningStack
from tests.support.waiting import eventually

#: Numbers and ids in what `test_garbage_on_topics` forges: a replay names that, and nothing else.
FORGED = frozenset(
    re.findall(
        r'"([0-9a-f-]{36}|[0-9]{5}-[0-9]{5}[0-9A-Z])"', " ".join(json.dumps(one.value) for _, one in publish.examples())
    )
)
#: The registry signs once a second.
SIGNED_SECONDS = 30


async def auditors_check(stack: RunningStack, folder: Path, settle_seconds: float = 60) -> Report:
    """The registry is what the topics tell, a replay makes every service's rows again, and the whole log verifies.

    The last is said of an export in `folder`, by the program that an outsider has.
    """
    report = await stack.audit(settle_seconds)
    assert not report.differences, report.differences
    wrong = [found for found in await replayed_all(stack) if found.subject not in FORGED]
    assert not wrong, wrong
    await eventually(lambda: _all_is_signed(stack), SIGNED_SECONDS)
    done = await export(stack.console, folder, Silent())
    verifying = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "transparency", "verify", str(folder), "--key", done.key),
        cwd=CLONE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await verifying.communicate()
    assert verifying.returncode == 0, said.decode()
    return report


async def replayed_all(stack: RunningStack) -> list[Difference]:
    """What the replays of all four services find."""
    kept = [await replay_kept(stack.console, keeps) for keeps in (IssuerKeeps, IntakeKeeps, NotifierKeeps)]
    return [*(await replay(stack.console)).differences, *(one for found in kept for one in found.differences)]


async def _all_is_signed(stack: RunningStack) -> bool:
    async with store.connect(stack.console, "registry") as registry:
        return bool(await registry.fetchval("SELECT size = (SELECT max(size) FROM checkpoint) FROM log_head"))
