"""Requests that bear tokens and are answered together: who asks, found with one statement for all of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from chassis.postgres import Transaction
from chassis.web.problems import Problem
from chassis.web.together import Together, parted
from chassis.web.tokens import Principal, principals, speak_for
from schemas.envelope import Cause


@dataclass
class Bearer:
    """A request that bears a token."""

    token: str = field(repr=False)
    #: What its events will bear.
    cause: Cause
    #: Whose it is, as soon as that is known.
    principal: Principal | None = field(default=None, init=False)


AnyBearer = TypeVar("AnyBearer", bound=Bearer)
Answer = TypeVar("Answer")


async def identify(
    tx: Transaction, requests: Sequence[Bearer], *, role: str, scope: str, now: datetime
) -> tuple[dict[int, Principal], dict[int, Problem]]:
    """By the place among the requests: the person, or Problem 401 without a valid token, 403 for one that may not do
    this.
    """
    found = await principals(tx, [request.token for request in requests], role=role, scope=scope, now=now)
    people, strangers = parted(dict(enumerate(found)))
    for n, person in people.items():
        requests[n].principal = person
    return people, strangers


async def answer_to(request: AnyBearer, together: Together[AnyBearer, Answer]) -> Answer:
    """As `together`; what the request logs from then on names the person, however it ends."""
    try:
        return await together(request)
    finally:
        if request.principal is not None:
            speak_for(request.principal)
