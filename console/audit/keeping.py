"""What does a service keep, who tells it, and by which of its code does it come into a shadow? One class for each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from chassis.consumer import Handler, by_kind
from chassis.decoding import Received
from chassis.postgres import Transaction
from console.audit.fold import Difference
from console.audit.replay_rows import Table
from console.store import Connection
from schemas.event import Event
from schemas.topics import Topic

#: Stands where only a service knows the person, and its table wants one.
SOMEBODY: Final = "replay"


@dataclass(frozen=True)
class KeptTable(Table):
    """A table whose rows have an `application_id`, and a `number` to call them by."""

    #: Columns that a later fact may change: those of an application that moves are not compared.
    changing: frozenset[str] = frozenset()
    #: Columns of which some facts say nothing: null in the shadow is no statement.
    partly: frozenset[str] = frozenset()
    #: How a column is read before it is compared: an older release wrote the same in other words.
    read: Mapping[str, Callable[[str], object]] = field(default_factory=dict)
    #: Columns that no event tells.
    left_out: frozenset[str] = frozenset()
    #: Whether the service itself told of such a row, so that it must be there however little it has read.
    is_own: Callable[[Mapping[str, Any]], bool] = lambda _: False

    def as_told(self, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
        """The live row, with the shadow's value where both say the same, or where nothing is told."""
        return {
            name: ours[name] if self._says_the_same(name, ours[name], value) else value
            for name, value in theirs.items()
        }

    def _says_the_same(self, name: str, mine: Any, other: Any) -> bool:
        if mine is None and name in self.partly:
            return True
        if mine == other or mine is None or other is None or name not in self.read:
            return bool(mine == other)
        try:
            return bool(self.read[name](mine) == self.read[name](other))
        except ValueError:
            return False


@dataclass
class AsTold:
    """The clock of a replay: the time that is told by what is being fed."""

    at: datetime = datetime(1970, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


class Keeping:
    """Feeds a shadow. Handlers are called in the order they are listed, as in a service."""

    service: ClassVar[str]
    #: In the order in which they are replayed: what others need comes first.
    topics: ClassVar[tuple[Topic, ...]]
    tables: ClassVar[tuple[KeptTable, ...]]
    #: What no event tells, so that no replay makes it.
    not_replayed: ClassVar[str]

    def __init__(self, shadow: Connection, clock: AsTold) -> None:
        self.shadow = shadow
        self.clock = clock
        #: What was found while feeding.
        self.found: list[Difference] = []

    @property
    def handlers(self) -> Mapping[type[Event], Handler]:
        raise NotImplementedError

    async def take(self, tx: Transaction, batch: Sequence[Received[Event]]) -> None:
        """What a poll told. Raises as the service's own handlers do."""
        handlers = self.handlers
        for kind, of_kind in by_kind(handlers, batch).items():
            await handlers[kind](tx, of_kind)

    async def forget(self, tx: Transaction, keys: Sequence[str]) -> None:
        """What tombstones forget; asked last of all."""
        raise NotImplementedError

    def held_back(self, topic: Topic) -> Sequence[Received[Event]]:  # noqa: ARG002 - for those who hold something back
        """What can be fed only when all of this topic was, one after the other."""
        return ()

    def is_of_its_day(self, table: KeptTable, row: Mapping[str, Any]) -> bool:  # noqa: ARG002 - as above
        """Whether other reference data may have decided that there is such a row, so that either side may lack it."""
        return False

    async def sums(self, live: Connection, moving: frozenset[UUID]) -> Sequence[Difference]:  # noqa: ARG002 - as above
        """Differences in what belongs to no application alone."""
        return ()
