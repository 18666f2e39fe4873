"""What can go wrong outside is told in a sentence; what is our bug is not hidden."""

import asyncpg
import pytest
from aiokafka.errors import KafkaConnectionError, NotLeaderForPartitionError, UnknownTopicOrPartitionError

from chassis.migrations import MigrationChanged
from chassis.settings import SecretUnusable
from console.running import explain, run
from deploy.local.problem import Problem


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (Problem("Do this."), "Do this."),
        (SecretUnusable("Secret 'x' cannot be read."), "Secret 'x' cannot be read."),
        (MigrationChanged("a.sql was applied as another text: write a new file instead."), "new file"),
        (UnknownTopicOrPartitionError(), "akashi topics create"),
        (KafkaConnectionError(), "akashi up"),
        (NotLeaderForPartitionError(), "try again"),
        (asyncpg.InvalidCatalogNameError(), "akashi setup"),
        (asyncpg.InvalidPasswordError(), "AKASHI_SECRETS_DIR"),
        (asyncpg.UndefinedTableError(), "akashi migrate"),
        (asyncpg.ConnectionDoesNotExistError(), "akashi up"),
        (asyncpg.InternalClientError(), "akashi up"),
        (ConnectionResetError(), "akashi up"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_fault_from_outside_is_told_with_what_to_do(error: Exception, advice: str) -> None:
    async def work() -> None:
        raise error

    with pytest.raises(Problem, match=advice) as told:
        run(work())
    assert "\n" not in str(told.value)


def test_a_bug_is_not_hidden() -> None:
    async def work() -> None:
        raise KeyError("x")

    assert explain(KeyError("x")) is None
    with pytest.raises(KeyError):
        run(work())
