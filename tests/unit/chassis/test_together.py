"""Who waits while a transaction runs shares the next one; who fails takes nobody with it."""

import asyncio
import contextlib

import pytest
from structlog.contextvars import bound_contextvars, get_contextvars

from chassis.web.problems import Problem, unavailable
from chassis.web.together import EachByItself, Together


class Database:
    """Says which transactions there were, and lets them begin when it is told."""

    def __init__(self) -> None:
        #: Only the first transaction is held up.
        self.first_only = False
        self.committed: list[list[str]] = []
        self.rolled_back: list[list[str]] = []
        self.asked = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    @contextlib.asynccontextmanager
    async def transaction(self):
        if not (self.first_only and self.asked.is_set()):
            self.asked.set()
            await self.open.wait()
        did: list[str] = []
        try:
            yield did
        except BaseException:
            self.rolled_back.append(did)
            raise
        self.committed.append(did)


@pytest.fixture
async def database():
    return Database()


async def answer(tx, asked):
    """`bad` is what the database refuses, `wrong` what gets a problem and is noted."""
    tx.extend(asked)
    if "bad" in asked:
        raise ValueError("bad")
    if "alone" in asked and len(asked) > 1:
        raise EachByItself
    return [Problem(404, "not-found", "No.") if each == "wrong" else each.upper() for each in asked]


async def all_at_once(together, *asked):
    return await asyncio.gather(*(together(each) for each in asked), return_exceptions=True)


async def held_up(database, together):
    """Somebody whose transaction has begun and does not get on."""
    database.open.clear()
    first = asyncio.create_task(together("first"))
    await database.asked.wait()
    return first


async def test_who_comes_alone_has_a_transaction_to_itself(database):
    together = Together(database.transaction, answer)

    assert [await together("a"), await together("b")] == ["A", "B"]
    assert database.committed == [["a"], ["b"]]


async def test_who_comes_while_one_runs_shares_the_next_and_each_gets_its_own_answer(database):
    together = Together(database.transaction, answer)
    first = await held_up(database, together)
    later = asyncio.create_task(all_at_once(together, "a", "wrong", "b"))
    await asyncio.sleep(0)
    database.open.set()

    assert await first == "FIRST"
    a, wrong, b = await later
    assert (a, b, wrong.status) == ("A", "B", 404)
    assert database.committed == [["first"], ["a", "wrong", "b"]]


async def test_no_more_share_one_than_may(database):
    together = Together(database.transaction, answer, most=2)

    assert await all_at_once(together, *"abcde") == list("ABCDE")
    assert database.committed == [["a", "b"], ["c", "d"], ["e"]]


async def test_one_that_fails_takes_no_other_with_it(database):
    together = Together(database.transaction, answer)

    a, bad, b = await all_at_once(together, "a", "bad", "b")

    assert (a, b) == ("A", "B")
    assert isinstance(bad, ValueError)
    assert database.committed == [["a"], ["b"]]
    assert database.rolled_back == [["a", "bad", "b"], ["bad"]]


async def test_one_that_must_be_alone_is_done_alone_and_so_are_those_that_came_with_it(database):
    together = Together(database.transaction, answer)

    assert await all_at_once(together, "a", "alone", "b") == ["A", "ALONE", "B"]
    assert sorted(database.committed) == [["a"], ["alone"], ["b"]]


async def test_a_turn_that_does_not_get_on_holds_up_nobody_else(database):
    together = Together(database.transaction, answer, stalled_seconds=0.01)
    database.first_only = True
    first = await held_up(database, together)

    assert await together("next") == "NEXT"
    database.open.set()

    assert await first == "FIRST"
    assert database.committed == [["next"], ["first"]]


async def test_who_is_in_a_turn_that_is_stopped_does_not_wait_for_ever(database):
    async def stopped(tx, asked):
        raise asyncio.CancelledError

    with pytest.raises(Problem) as ended:
        await Together(database.transaction, stopped)("a")

    assert ended.value.status == 503


async def test_without_a_database_each_is_told_so_once(database):
    asked = []

    async def away(tx, requests):
        asked.append(requests)
        raise unavailable()

    answers = await all_at_once(Together(database.transaction, away), "a", "b")

    assert [problem.status for problem in answers] == [503, 503]
    assert answers[0] is not answers[1]
    assert asked == [["a", "b"]]


async def test_who_waits_too_long_for_a_turn_is_told_to_come_again(database):
    together = Together(database.transaction, answer, wait_seconds=0.01)
    first = await held_up(database, together)

    with pytest.raises(Problem) as late:
        await together("late")
    database.open.set()

    assert late.value.status == 503
    assert await first == "FIRST"
    assert database.committed == [["first"]]


async def test_who_is_gone_before_its_turn_asks_for_nothing(database):
    together = Together(database.transaction, answer)
    first = await held_up(database, together)
    gone, stays = asyncio.create_task(together("gone")), asyncio.create_task(together("stays"))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    database.open.set()

    assert [await first, await stays] == ["FIRST", "STAYS"]
    assert database.committed == [["first"], ["stays"]]


async def test_nothing_of_a_request_is_at_hand_while_all_are_answered(database):
    async def tell(tx, asked):
        return [dict(get_contextvars()) for _ in asked]

    with bound_contextvars(correlation_id="of the first"):
        assert await Together(database.transaction, tell)("a") == {}
