"""Who may do what on Kafka: derived from `schemas.topics`, and made so on a broker that asks who one is.

A service writes the topics that it is the writer of, reads those that its group reads, parks and takes back what is its
own, and nothing else. The operator reads everything, and gives parked records back or settles them. Only the broker
itself and the administrator, who makes topics and these rules, may do more.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from enum import IntEnum
from typing import Final, NamedTuple

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest

from chassis.kafka import OPERATOR, KafkaAccess
from schemas import topics

_PRINCIPAL: Final = "User:"
_EVERY: Final = "*"
_ANY: Final = 1
_POLL_SECONDS: Final = 0.05
_OBEYED_SECONDS: Final = 30
_ALLOW: Final = 3
_LITERAL: Final = 3


class Resource(IntEnum):
    """Numbers of the protocol (KIP-140)."""

    TOPIC = 2
    GROUP = 3
    CLUSTER = 4


class Operation(IntEnum):
    """Numbers of the protocol. READ and WRITE let one DESCRIBE, too."""

    READ = 3
    WRITE = 4
    DESCRIBE = 8
    DESCRIBE_CONFIGS = 10


class Grant(NamedTuple):
    """One user may do one thing with one resource, from any host."""

    user: str
    resource: Resource
    name: str
    operation: Operation


def declared() -> frozenset[Grant]:
    """Everything that anybody but broker and administrator may do."""
    grants = set()
    for topic in topics.BUSINESS:
        grants.add(Grant(topic.writer, Resource.TOPIC, topic.name, Operation.WRITE))
        grants |= {Grant(group, Resource.TOPIC, topic.name, Operation.READ) for group in topic.readers}
    for group in topics.GROUPS:
        grants |= {
            Grant(group, Resource.GROUP, group, Operation.READ),
            Grant(group, Resource.TOPIC, topics.dead_letters(group), Operation.WRITE),
            Grant(group, Resource.TOPIC, topics.redrive(group), Operation.READ),
            Grant(OPERATOR, Resource.TOPIC, topics.redrive(group), Operation.WRITE),
            Grant(OPERATOR, Resource.TOPIC, topics.dead_letters(group), Operation.WRITE),
        }
    grants |= {Grant(OPERATOR, Resource.TOPIC, _EVERY, may) for may in (Operation.READ, Operation.DESCRIBE_CONFIGS)}
    grants.add(Grant(OPERATOR, Resource.GROUP, _EVERY, Operation.DESCRIBE))
    grants.add(Grant(OPERATOR, Resource.CLUSTER, "kafka-cluster", Operation.DESCRIBE))
    return frozenset(grants)


async def ensure_acls(access: KafkaAccess, *, and_no_others: bool = False) -> tuple[list[str], list[str]]:
    """Grant what is declared, and, if asked to, take from our users what is not; what was granted, and taken away.

    A newer release declares more: whoever starts an older one beside it takes nothing away. Rules about anybody else
    are left alone, and a broker that asks nobody who they are has none. Raises `KafkaError` where this user may not
    make them, `TimeoutError` where the broker does not obey.
    """
    if access.protocol == "PLAINTEXT":
        return [], []
    async with _client(access) as client:
        missing, extra = await _differing(client)
        # 1. What is missing first: nobody who works is held up.
        for rule in missing:
            answer = await client.send(client.get_random_node(), CreateAclsRequest(*rule.arguments()))
            _raise_for(answer.creation_responses)
        # 2. Then what nobody may any more.
        extra = extra if and_no_others else []
        for rule in extra:
            answer = await client.send(client.get_random_node(), DeleteAclsRequest(*rule.arguments()))
            _raise_for(each[:2] for each in answer.filter_responses)
        # 3. The answers came from the controller. Brokers obey as soon as they have read of it.
        async with asyncio.timeout(_OBEYED_SECONDS):
            while not _obeyed(await _differing(client), extra):
                await asyncio.sleep(_POLL_SECONDS)
    return [str(rule) for rule in missing], [str(rule) for rule in extra]


def _obeyed(differing: tuple[list["_Rule"], list["_Rule"]], taken: list["_Rule"]) -> bool:
    missing, extra = differing
    return not missing and not set(taken) & set(extra)


async def differing_acls(access: KafkaAccess) -> tuple[list[str], list[str]]:
    """Rules that the broker lacks, and those about our users that nobody declared."""
    if access.protocol == "PLAINTEXT":
        return [], []
    async with _client(access) as client:
        missing, extra = await _differing(client)
    return [str(rule) for rule in missing], [str(rule) for rule in extra]


class _Rule(NamedTuple):
    """A rule as the protocol has it, in the order of its fields."""

    principal: str
    resource: int
    name: str
    pattern: int
    host: str
    operation: int
    permission: int

    @classmethod
    def of(cls, grant: Grant) -> "_Rule":
        principal = _PRINCIPAL + grant.user
        return cls(principal, grant.resource, grant.name, _LITERAL, _EVERY, grant.operation, _ALLOW)

    def arguments(self) -> tuple[int, str, int, str, str, int, int]:
        return (self.resource, self.name, self.pattern, self.principal, self.host, self.operation, self.permission)

    def __str__(self) -> str:
        may = "may" if self.permission == _ALLOW else "may not"
        operation, resource = _named(Operation, self.operation), _named(Resource, self.resource).lower()
        beyond = "" if (self.pattern, self.host) == (_LITERAL, _EVERY) else f" (pattern {self.pattern}, {self.host})"
        return f"{self.principal.removeprefix(_PRINCIPAL)} {may} {operation} {resource} {self.name}{beyond}"


def _named(numbers: type[IntEnum], number: int) -> str:
    known = {member.value: member.name for member in numbers}
    return known.get(number, f"{numbers.__name__.lower()} {number}")


@contextlib.asynccontextmanager
async def _client(access: KafkaAccess) -> AsyncIterator[AIOKafkaClient]:
    client = AIOKafkaClient(**access.options())
    try:
        await client.bootstrap()
        yield client
    finally:
        await client.close()


async def _differing(client: AIOKafkaClient) -> tuple[list[_Rule], list[_Rule]]:
    wanted = {_Rule.of(grant) for grant in declared()}
    ours = {rule.principal for rule in wanted}
    every = DescribeAclsRequest(_ANY, None, _ANY, None, None, _ANY, _ANY)
    answer = await client.send(client.get_random_node(), every)
    _raise_for([(answer.error_code, answer.error_message)])
    there = {
        _Rule(principal, resource, name, pattern, host, operation, permission)
        for resource, name, pattern, rules in answer.resources
        for principal, host, operation, permission in rules
    }
    return sorted(wanted - there), sorted(rule for rule in there - wanted if rule.principal in ours)


def _raise_for(answers: Iterable[tuple[int, str | None]]) -> None:
    for code, message in answers:
        if code:
            raise for_code(code)(message)
