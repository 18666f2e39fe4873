"""How does a command run, and how does it tell a person what went wrong?"""

import asyncio
import logging
import sys
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

import typer

from deploy.local.problem import Problem

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """The result of a command's work. Raises `Problem` for whatever a person can do something about."""
    _quieten_libraries()
    try:
        return asyncio.run(work)
    except Exception as error:
        problem = explain(error)
        if problem is None:
            raise
        raise problem from None


def fail(problem: Problem, code: int = 1) -> NoReturn:
    """Tell the person, and end."""
    print(problem, file=sys.stderr)
    raise typer.Exit(code)


def explain(error: Exception) -> Problem | None:
    """What a person can do about it; None where it is our bug."""
    if isinstance(error, Problem):
        return error
    return _about_files(error) or _about_kafka(error) or _about_postgres(error)


def _about_files(error: Exception) -> Problem | None:
    from chassis.migrations import MigrationChanged  # noqa: PLC0415 - only a failure costs these imports
    from chassis.settings import SecretUnusable  # noqa: PLC0415
    from chassis.tls import CertificateUnusable  # noqa: PLC0415
    from reference.errors import InvalidReference  # noqa: PLC0415

    if isinstance(error, CertificateUnusable | SecretUnusable | MigrationChanged | InvalidReference):
        return Problem(str(error))
    return None


def _about_kafka(error: Exception) -> Problem | None:
    from aiokafka.errors import KafkaConnectionError, KafkaError, UnknownTopicOrPartitionError  # noqa: PLC0415

    match error:
        case UnknownTopicOrPartitionError():
            return Problem("A topic is missing on the broker: make it with `akashi topics create`.")
        case KafkaConnectionError():
            return Problem(
                "Kafka can't be reached: start the stack with `akashi up`, or correct AKASHI_KAFKA_BOOTSTRAP."
            )
        case KafkaError():
            return Problem(
                f"Kafka refused ({type(error).__name__}): try again, and look at the broker's log if it stays."
            )
    return None


def _about_postgres(error: Exception) -> Problem | None:
    import asyncpg  # noqa: PLC0415 - only a failure costs these imports

    match error:
        case asyncpg.InvalidCatalogNameError():
            return Problem("The service's database is missing: make it with `akashi setup`.")
        case asyncpg.InvalidAuthorizationSpecificationError():
            return Problem("PostgreSQL refused the password: correct AKASHI_SECRETS_DIR, or run `akashi setup`.")
        case asyncpg.UndefinedTableError() | asyncpg.UndefinedColumnError():
            return Problem("The service's tables are missing or old: make them with `akashi migrate`.")
        case (
            asyncpg.PostgresError()
            | asyncpg.InterfaceError()
            | asyncpg.InternalClientError()
            | ConnectionError()
            | TimeoutError()
        ):
            return Problem(
                f"PostgreSQL can't be used ({type(error).__name__}): start the stack with `akashi up`, "
                "or correct AKASHI_POSTGRES_HOST and AKASHI_POSTGRES_PORT."
            )
    return None


def _quieten_libraries() -> None:
    """Only the command speaks: what a library logs would stand between its lines."""
    # Here, because `--help` needs no logs.
    import structlog  # noqa: PLC0415

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL + 1)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
