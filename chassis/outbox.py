"""How a fact and its announcement become durable together: the announcement is a row in the same transaction."""

import asyncio
from collections.abc import Iterable, Sequence

from pydantic_core import from_json, to_json

from chassis.postgres import Transaction
from schemas import topics
from schemas.envelope import Cause, Headers, Message, message_of
from schemas.event import Event

#: One statement for any number of messages, in their order.
INSERT = """
INSERT INTO outbox (topic, key, value, headers)
SELECT topic, key, value, headers
FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::text[]) WITH ORDINALITY AS m (topic, key, value, headers, n)
ORDER BY n
"""


def pack(headers: Headers) -> str:
    return to_json([[name, value.decode("latin-1")] for name, value in headers]).decode()


def unpack(packed: str) -> list[tuple[str, bytes]]:
    return [(name, value.encode("latin-1")) for name, value in from_json(packed)]


class Outbox:
    """The outgoing side of one service. Adding is part of the caller's transaction; `wake` is for after it."""

    def __init__(self, service: str) -> None:
        self.service = service
        #: Set after a commit, so that the relay of the same process looks at once.
        self.committed = asyncio.Event()

    async def add(self, tx: Transaction, events: Iterable[tuple[Event, Cause]]) -> None:
        """Add events in order. Costs one statement; publishes nothing by itself."""
        await self.add_messages(
            tx,
            [
                message_of(event, source=self.service, topic=topics.of_event(type(event)).name, cause=cause)
                for event, cause in events
            ],
        )

    async def add_messages(self, tx: Transaction, messages: Sequence[Message]) -> None:
        if not messages:
            return
        await tx.execute(
            INSERT,
            [message.topic for message in messages],
            [message.key for message in messages],
            [message.value for message in messages],
            [pack(message.headers) for message in messages],
        )

    def wake(self) -> None:
        self.committed.set()
