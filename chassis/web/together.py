"""Requests that come while a transaction runs share the next one: what costs most is paid once for all of them.

A request that comes alone waits for nobody and has its transaction to itself.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Generic, TypeVar

import structlog

from chassis.postgres import Transaction
from chassis.web.problems import Problem, unavailable

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")
Key = TypeVar("Key")
Found = TypeVar("Found")

log = structlog.get_logger()


class EachByItself(Exception):
    """Raised by `act` for requests that can't be done in one transaction as if one came after the other."""


def parted(outcomes: Mapping[Key, Found | Problem]) -> tuple[dict[Key, Found], dict[Key, Problem]]:
    """What came to something, and what came to a problem: for what `act` does with many, step by step."""
    problems = {key: outcome for key, outcome in outcomes.items() if isinstance(outcome, Problem)}
    return {key: outcome for key, outcome in outcomes.items() if not isinstance(outcome, Problem)}, problems


@dataclass(eq=False)
class _Request(Generic[Asked, Answer]):
    asked: Asked
    answered: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def end(self, answer: Answer | Exception) -> None:
        if self.answered.done():
            return
        if isinstance(answer, Exception):
            self.answered.set_exception(answer)
        else:
            self.answered.set_result(answer)


class Together(Generic[Asked, Answer]):
    """One transaction after the other, each for all who wait when it begins: a turn.

    `act` gets an open transaction and what was asked, and gives an answer to each in that order; a `Problem` among them
    is raised to the one it is for, and what `act` did stays. When `act` raises, nothing stays, and each request is done
    by itself: one that fails takes no other with it. It runs in no request's context: what belongs to one (its cause)
    is part of what is asked.
    """

    def __init__(
        self,
        transaction: Callable[[], AbstractAsyncContextManager[Transaction]],
        act: Callable[[Transaction, Sequence[Asked]], Awaitable[Sequence[Answer | Problem]]],
        *,
        most: int = 64,
        wait_seconds: float = 5.0,
        stalled_seconds: float = 1.0,
    ) -> None:
        self._transaction = transaction
        self._act = act
        self._most = most
        self._wait_seconds = wait_seconds
        self._stalled_seconds = stalled_seconds
        self._waiting: deque[_Request[Asked, Answer]] = deque()
        self._line: asyncio.Task[None] | None = None
        self._turns: set[asyncio.Task[None]] = set()

    async def __call__(self, asked: Asked) -> Answer:
        """The answer, when the transaction is committed. Problem 503 when the database is away, or when no turn comes
        within `wait_seconds`.
        """
        request: _Request[Asked, Answer] = _Request(asked)
        self._waiting.append(request)
        if self._line is None or self._line.done():
            self._line = asyncio.create_task(self._take_turns(), context=contextvars.Context())
        late = asyncio.get_running_loop().call_later(self._wait_seconds, self._give_up, request)
        try:
            return await request.answered
        except Problem as problem:
            if _is_away(problem):
                log.warning("request.unavailable", error="turn")
            raise
        finally:
            late.cancel()

    def _give_up(self, request: _Request[Asked, Answer]) -> None:
        if request in self._waiting:
            self._waiting.remove(request)
            request.end(unavailable())

    async def _take_turns(self) -> None:
        while self._waiting:
            turn = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._most))]
            # Who is gone by now asks for nothing any more.
            if turn := [request for request in turn if not request.answered.done()]:
                taking = asyncio.create_task(self._take(turn))
                self._turns.add(taking)
                taking.add_done_callback(partial(self._took, turn))
                # One that does not get on (its connection is dead) holds up who is in it, and nobody else.
                await asyncio.wait([taking], timeout=self._stalled_seconds)

    def _took(self, turn: Sequence[_Request[Asked, Answer]], taking: asyncio.Task[None]) -> None:
        """Nobody waits for a turn that is over, however it ended."""
        self._turns.discard(taking)
        for request in turn:
            request.end(unavailable())

    async def _take(self, turn: Sequence[_Request[Asked, Answer]]) -> None:
        answers: Sequence[Answer | Exception]
        try:
            async with self._transaction() as tx:
                answers = await self._act(tx, [request.asked for request in turn])
                assert len(answers) == len(turn), "to each an answer"
        except Exception as error:  # noqa: BLE001 - handed to those it is for
            if _is_away(error):
                answers = [unavailable() for _ in turn]
            elif len(turn) == 1:
                answers = [error]
            else:
                if not isinstance(error, Problem | EachByItself):
                    log.warning("turn.repeated", error=type(error).__name__, requests=len(turn))
                await asyncio.gather(*(self._take([request]) for request in turn))
                return
        for request, answer in zip(turn, answers, strict=True):
            request.end(answer)


def _is_away(error: Exception) -> bool:
    return isinstance(error, Problem) and error.status == HTTPStatus.SERVICE_UNAVAILABLE
