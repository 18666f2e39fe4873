"""What every test can ask for. A folder nearer to the test may have its own of the same name."""

import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Final

import pytest
import structlog
from hypothesis import settings
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

from tests.support.fixtures import (
    _topics,
    broker,
    built,
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
    "built",
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


#: A test or a fixture does; those of tests/fault break theirs.
_ASKS_FOR_IT: Final = re.compile(r"^(async )?def [a-z]\w*\((?:[^)]*\W)?stack: RunningStack", re.MULTILINE)


class _OneStack(LoadFileScheduling):  # type: ignore[misc] # xdist tells no types
    """A file's tests run in one process; and so do all that use the one whole stack, which takes longer to start than most
    of them to run, and which is never quite idle.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "the whole stack" if _uses_the_stack(self.config.rootpath, file) else file


@cache
def _uses_the_stack(root: Path, file: str) -> bool:
    return not file.startswith("tests/fault/") and _ASKS_FOR_IT.search((root / file).read_text()) is not None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    return _OneStack(config, log) if config.getvalue("dist") == "loadfile" else None
