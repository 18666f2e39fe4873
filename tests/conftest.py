"""What every test can ask for. A folder nearer to the test may have its own of the same name."""

from collections import Counter

import pytest
import structlog
from hypothesis import settings

from tests.support.fixtures import (
    _topics,
    broker,
    clock,
    databases,
    intake,
    intake_pool,
    issuer,
    issuer_pool,
    keys,
    reference,
    registry,
    registry_pool,
    running_broker,
    server,
)
from tests.support.running import stack

__all__ = [
    "_topics",
    "broker",
    "clock",
    "databases",
    "intake",
    "intake_pool",
    "issuer",
    "issuer_pool",
    "keys",
    "reference",
    "registry",
    "registry_pool",
    "running_broker",
    "server",
    "stack",
]

# The machine decides how fast an example is, not the code. The same examples every time: a red test is about the change.
# To look for more: `max_examples=500` without `derandomize`.
settings.register_profile("akashi", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("akashi")
# A failing test shows what was logged: lines for people, without the values of every frame.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of tests of one name, one is run where several processes share them out; the others would pass unseen."""
    twice = [name for name, times in Counter(item.nodeid for item in items).items() if times > 1]
    if twice:
        raise pytest.UsageError(f"tests of one name: {', '.join(twice)}")
