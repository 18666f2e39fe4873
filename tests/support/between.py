"""Who stands between two parts: one that only listens, and one that pretends to be the other end."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Ear:
    """Passes everything on, both ways, and remembers it."""

    port: int = 0
    heard: bytearray = field(default_factory=bytearray)


@contextlib.asynccontextmanager
async def listening_before(port: int, *, at: int = 0) -> AsyncIterator[Ear]:
    """Whoever connects to the ear's port speaks with what listens on `port`."""
    ear = Ear()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                ear.heard += data
                writer.write(data)
                await writer.drain()
        writer.close()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            beyond_reader, beyond_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pass_on(reader, beyond_writer), pass_on(beyond_reader, writer))

    async with _serving(talk, at) as ear.port:
        yield ear


@dataclass
class Impostor:
    """Listens in another's place, and remembers what it was told after the handshake, or instead of it."""

    port: int = 0
    visits: int = 0
    told: bytearray = field(default_factory=bytearray)

    async def listen(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                self.told += data


@contextlib.asynccontextmanager
async def impostor(
    shown: ssl.SSLContext | None,
    *,
    greeting: bytes = b"",
    before: Sequence[tuple[bytes, bytes]] = (),
    after: bytes = b"",
) -> AsyncIterator[Impostor]:
    """Speaks TLS with the certificate of `shown`, or never where there is none.

    `before`: where a protocol begins plainly, what it waits for and what it answers. That counts as nothing told.
    `after`: what it says first over TLS.
    """
    pretending = Impostor()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pretending.visits += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            writer.write(greeting)
            for expected, answer in before:
                await reader.readuntil(expected)
                writer.write(answer)
            if shown is not None:
                await writer.start_tls(shown)
            writer.write(after)
            await pretending.listen(reader)
        writer.close()

    async with _serving(talk) as pretending.port:
        yield pretending


@contextlib.asynccontextmanager
async def _serving(talk: Talk, port: int = 0) -> AsyncIterator[int]:
    """A server on a port of 127.0.0.1; its conversations end with it."""
    conversations: set[asyncio.Task[None]] = set()

    async def remembered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        conversations.add(task)
        try:
            await talk(reader, writer)
        except asyncio.CancelledError:
            # By the end of the server, below; Python 3.11 would log it as an error.
            pass
        finally:
            writer.close()
            conversations.discard(task)

    server = await asyncio.start_server(remembered, "127.0.0.1", port)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in list(conversations):
            task.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)
