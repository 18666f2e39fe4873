"""The way from one service to one neighbour, which a test can cut, slow, stop, and lay a tripwire on.

A proxy in the test's own process. Nothing in the product knows of it: the service is told another port.
"""

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

from tests.support.wires import Message, Wire

#: On which side of a step: before it was asked for, or after it was done and before anybody was told.
Side = Literal["before", "after"]
SIDES: Final[tuple[Side, ...]] = ("before", "after")
#: What becomes of the connection then: over; silent for ever; or it goes on as if nothing were.
Then = Literal["ends", "hangs", "goes on"]

_CHUNK: Final = 64 * 1024


@dataclass
class Tripwire:
    """Fires once, at the first message on its side that has all the words.

    Unless the connection goes on, that message goes no further. Before: it never reaches the server. After: the server
    has done it, and the client does not learn it.
    """

    words: tuple[str, ...]
    side: Side
    pull: Callable[[], object]
    then: Then
    fired: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def is_touched_by(self, side: Side, text: str) -> bool:
        return side == self.side and not self.fired.is_set() and all(word in text for word in self.words)

    def fire(self) -> None:
        self.fired.set()
        self.pull()


class _Connection:
    """Two sockets with a line between them."""

    def __init__(self, line: "Line", wire: Wire, client: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        self._line = line
        self._wire = wire
        self._reader, self._writer = client
        self._beyond: asyncio.StreamWriter | None = None
        self._silent = False
        self._ways: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Pass on what comes until one end is gone; then the other end is told."""
        try:
            reader, self._beyond = await asyncio.open_connection("127.0.0.1", self._line.upstream)
            one_way = self._pass_on(self._reader, self._beyond, "before", self._wire.asks)
            other_way = self._pass_on(reader, self._writer, "after", self._wire.answers)
            self._ways = [asyncio.create_task(one_way), asyncio.create_task(other_way)]
            await asyncio.wait(self._ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in self._ways:
                way.cancel()
            for ended in await asyncio.gather(*self._ways, return_exceptions=True):
                if isinstance(ended, Exception) and not isinstance(ended, OSError):
                    raise ended
            for writer in self._ends:
                writer.close()

    def reset(self) -> None:
        """End it as a network does: without a goodbye."""
        for writer in self._ends:
            end: socket.socket = writer.get_extra_info("socket")
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        for way in self._ways:
            way.cancel()

    @property
    def _ends(self) -> list[asyncio.StreamWriter]:
        both = (self._writer, self._beyond)
        return [writer for writer in both if writer is not None and not writer.transport.is_closing()]

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        side: Side,
        cut: Callable[[bytes], Iterator[Message]],
    ) -> None:
        while data := await reader.read(_CHUNK):
            await self._line.travel(len(data))
            for raw, text in cut(data):
                if self._silent:
                    continue
                if side == "before" and (instead := self._line.answered_by_itself(text)):
                    self._writer.write(instead)
                    continue
                if tripwire := self._line.touched(side, text):
                    self._silent = tripwire.then == "hangs"
                    tripwire.fire()
                    if tripwire.then == "ends":
                        return
                    # What was pulled may be the line's own stop.
                    await self._line.travel(0)
                if not self._silent:
                    writer.write(raw)
            await writer.drain()


class Line:
    """What a service believes to be its neighbour."""

    def __init__(self, service: str, neighbour: str, make_wire: Callable[[], Wire]) -> None:
        self.service = service
        self.neighbour = neighbour
        #: Where it leads.
        self.upstream = 0
        #: Where the service finds it.
        self.port = 0
        #: What a server that is in a bad mood says, by a word of what it was asked.
        self.instead: dict[str, bytes] = {}
        self._make_wire = make_wire
        self._connections: set[_Connection] = set()
        self._tripwires: list[Tripwire] = []
        self._is_away = False
        self._passes = asyncio.Event()
        self._passes.set()
        self._latency_seconds = 0.0
        self._bytes_per_second = float("inf")
        #: Connections opened since it began to swallow.
        self.came_in_vain = 0
        #: What has travelled so far, in how many pieces, and how long these were under way.
        self.pieces = 0
        self.bytes = 0
        self.seconds = 0.0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Line"]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()

    def trip(self, *words: str, side: Side, pull: Callable[[], object] = lambda: None, then: Then = "ends") -> Tripwire:
        """Lay a tripwire."""
        self._tripwires.append(Tripwire(words, side, pull, then))
        return self._tripwires[-1]

    def take_up(self, tripwire: Tripwire) -> None:
        """Whoever comes now passes."""
        self._tripwires = [each for each in self._tripwires if each is not tripwire]

    def cut(self) -> int:
        """Reset every connection; how many there were. New ones are let through."""
        connections = list(self._connections)
        for connection in connections:
            connection.reset()
        return len(connections)

    def take_away(self) -> None:
        """Nobody is there any more, and who comes is turned away, until `mend`."""
        self._is_away = True
        self.cut()

    def swallow(self) -> None:
        """Everything is accepted and nothing arrives, until `mend`; then it does, as late as it is."""
        self.came_in_vain = 0
        self._passes.clear()

    def slow(self, *, latency_seconds: float, bytes_per_second: float) -> None:
        self._latency_seconds, self._bytes_per_second = latency_seconds, bytes_per_second

    def mend(self) -> None:
        """As it was at first."""
        self._is_away = False
        self._passes.set()
        self.instead = {}
        self._tripwires = []
        self.slow(latency_seconds=0.0, bytes_per_second=float("inf"))

    async def travel(self, size: int) -> None:
        """What so many bytes wait for."""
        began = time.monotonic()
        if seconds := self._latency_seconds + size / self._bytes_per_second:
            await asyncio.sleep(seconds)
        await self._passes.wait()
        self.pieces, self.bytes, self.seconds = (
            self.pieces + 1,
            self.bytes + size,
            self.seconds + time.monotonic() - began,
        )

    def touched(self, side: Side, text: str) -> Tripwire | None:
        return next((each for each in self._tripwires if text and each.is_touched_by(side, text)), None)

    def answered_by_itself(self, text: str) -> bytes | None:
        return next((answer for word, answer in self.instead.items() if word in text), None)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, self._make_wire(), (reader, writer))
        if self._is_away:
            connection.reset()
            return
        self._connections.add(connection)
        self.came_in_vain += not self._passes.is_set()
        try:
            await connection.run()
        except OSError:
            # Its neighbour is away, too.
            connection.reset()
        finally:
            self._connections.discard(connection)
