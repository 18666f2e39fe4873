"""Whose replay? The registry's follows its log; the others' follow the topics."""

import importlib
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from console.audit.replay import Progress, Replayed, replay
from console.audit.replay_kept import ReplayedKept, replay_kept
from console.environment import Stack
from console.services import known_services

#: What each keeps besides the registry; loaded only when asked for, since it needs that service's own code.
KEEPS: Final[Mapping[str, tuple[str, str]]] = {
    "intake": ("console.audit.replay_intake", "IntakeKeeps"),
    "issuer": ("console.audit.replay_issuer", "IssuerKeeps"),
    "notifier": ("console.audit.replay_notifier", "NotifierKeeps"),
}


async def replay_of(
    stack: Stack,
    service: str,
    *,
    until: datetime | None = None,
    keep: bool = False,
    progress: Progress | None = None,
) -> Replayed | ReplayedKept:
    """Replay a service into a shadow and compare. Raises `Problem` for what is none, or where it can't be had."""
    known_services([service])
    if service not in KEEPS:
        return await replay(stack, until=until, keep=keep, progress=progress)
    module, name = KEEPS[service]
    keeps = getattr(importlib.import_module(module), name)
    return await replay_kept(stack, keeps, until=until, keep=keep, progress=progress)
