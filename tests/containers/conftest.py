"""One stack for all tests of this folder: each leaves it as it found it."""

from collections.abc import Iterator

import pytest

from tests.containers.compose import Compose, why_not
from tests.support.stack import in_containers


@pytest.fixture(scope="session", autouse=True)
def _engine() -> None:
    if not in_containers():
        pytest.skip("`make test STACK=containers` runs these")
    if reason := why_not():
        pytest.skip(f"Docker with compose is needed: {reason}")


@pytest.fixture(scope="session")
def stack() -> Iterator[Compose]:
    """The whole stack, up and healthy."""
    with Compose.fresh() as fresh:
        fresh.up()
        yield fresh
