"""Applications go through the stack in containers, with one issuer and with three, and after every service was killed."""

import pytest

from tests.containers.compose import SERVICES, Compose

ALL_PLAYED = "All 7 applications came to what they must"


def _plays_and_is_right(stack: Compose) -> None:
    assert ALL_PLAYED in stack.console("demo", "--once")
    stack.console("audit", "compare", "--settle", "60")


def test_the_demo_plays(stack: Compose) -> None:
    _plays_and_is_right(stack)


@pytest.mark.timeout(420)
def test_the_demo_plays_with_three_issuers_and_after_every_service_was_killed(stack: Compose) -> None:
    stack.up("--scale", "issuer=3")
    _plays_and_is_right(stack)
    for service in SERVICES:
        stack.engine(("kill", "--signal", "KILL"), service)
    stack.up("--scale", "issuer=3")
    _plays_and_is_right(stack)
    stack.up("--scale", "issuer=1")
