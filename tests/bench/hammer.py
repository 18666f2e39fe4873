"""How many requests a second does a server answer? Asked over kept connections, by as little code as possible.

The client runs on the machine that it measures, and takes the same from both sides.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from tests.bench.rounds import Wrong

#: Where nothing else is asked for.
CONNECTIONS: Final = 16


def request(method: str, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """A request as it goes over the line."""
    named = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


async def hammer(port: int, requests: Sequence[bytes], *, expected: int, connections: int = CONNECTIONS) -> float:
    """Ask as fast as the answers come; answers a second. Raises `Wrong` for another status than `expected`."""
    waiting: Iterator[bytes] = iter(requests)
    began = time.monotonic()
    await asyncio.gather(*(_ask_all(port, waiting, expected) for _ in range(connections)))
    return len(requests) / (time.monotonic() - began)


async def _ask_all(port: int, waiting: Iterable[bytes], expected: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for asked in waiting:
            await ask(reader, writer, asked, expected)
    finally:
        writer.close()


async def ask(reader: asyncio.StreamReader, writer: Any, asked: bytes, expected: int) -> bytes:
    """The body of one answer."""
    writer.write(asked)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    body = await reader.readexactly(length)
    status = int(head.split(b" ", 2)[1])
    if status != expected:
        raise Wrong(f"answered {status}, not {expected}: {body[:300]!r}")
    return body
