"""How long may a client take, and how many may there be? uvicorn limits neither: these connections do.

A client owes us its request, head and body, and then takes our answer. Whoever is too slow at either is cut, so that
nobody keeps a connection for ever by sending a byte now and then. When there are as many connections as there may be,
the silent one that has owed its request for longest gives way to the new one: those who ask and are answered feel
nothing of hundreds who say nothing.
"""

import asyncio
import select
from dataclasses import dataclass
from http import HTTPStatus
from ssl import SSLContext
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from chassis.metrics import CONNECTIONS_CUT
from chassis.web.problems import Problem, too_slow, unavailable

#: Connections that are taken up in a turn of the loop. Those above `Limits.connections` are gone some turns later.
BACKLOG: Final = 256
#: From the connection to the end of what TLS says first; asyncio's own minute is long for who says nothing.
HANDSHAKE_SECONDS: Final = 10.0
#: That TLS waits for the other's end, and for what is still to be read; asyncio's own half a minute keeps the place of
#: everybody who leaves without a word, and a stop waiting.
SHUTDOWN_SECONDS: Final = 5.0
#: That a client may go on sending after it was told that it is too late.
LINGER_SECONDS: Final = 1.0


def _as_bytes(problem: Problem) -> bytes:
    """The whole answer. Not through h11, which would have to be asked what it can still say."""
    answer = problem.response()
    status = HTTPStatus(problem.status)
    headers = [*answer.raw_headers, (b"connection", b"close")]
    lines = [f"HTTP/1.1 {status} {status.phrase}".encode(), *(name + b": " + value for name, value in headers)]
    return b"\r\n".join([*lines, b"", bytes(answer.body)])


_TOO_SLOW: Final = _as_bytes(too_slow())
_FULL: Final = _as_bytes(unavailable())


@dataclass(frozen=True)
class Limits:
    """Of a process that serves HTTP."""

    #: From the connection, or the first byte of a further request, to the last byte of its body.
    request_seconds: float
    #: That a client reads nothing of what waits for it.
    answer_seconds: float
    connections: int


def limited_by(limits: Limits) -> type[H11Protocol]:
    """What uvicorn takes as `http`."""
    return type("LimitedConnection", (Connection,), {"limits": limits})


class Loop(asyncio.SelectorEventLoop):
    """What uvicorn takes as `loop`: a client has so long to begin with TLS, and to end it."""

    async def create_server(self, *args: Any, ssl: SSLContext | None = None, **more: Any) -> asyncio.Server:  # type: ignore[override]  # whatever uvicorn says
        if ssl is not None:
            more.setdefault("ssl_handshake_timeout", HANDSHAKE_SECONDS)
            more.setdefault("ssl_shutdown_timeout", SHUTDOWN_SECONDS)
        return await super().create_server(*args, ssl=ssl, **more)


class Connection(H11Protocol):
    """One client's connection: uvicorn's own, with clocks."""

    limits: Limits
    #: Since when it owes us a request, or the rest of one; None while it waits for our answer.
    owing_since: float | None = None
    _over: bool = False
    _request_clock: asyncio.TimerHandle | None = None
    _answer_clock: asyncio.TimerHandle | None = None

    # --- what happens on it ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._look()
        if len(self.connections) > self.limits.connections:
            self._give_way()

    def data_received(self, data: bytes) -> None:
        if not self._over:
            super().data_received(data)
            self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._stop_answer_clock()
        self._look()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._start_answer_clock()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_answer_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_clocks()

    # --- clocks ---------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Have the clock run of what is owed: something to be read, or a request. Between two, uvicorn's own does."""
        if self.transport.get_write_buffer_size():
            self._start_answer_clock()
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self.owing_since = None
            self._stop_request_clock()
            return
        if self.owing_since is None:
            self.owing_since = self.loop.time()
        if self._request_clock is None and self.timeout_keep_alive_task is None:
            self._request_clock = self.loop.call_later(self.limits.request_seconds, self._request_is_late)

    def _request_is_late(self) -> None:
        begun = self.conn.their_state is h11.SEND_BODY or self.conn.trailing_data[0]
        self.cut("request", _TOO_SLOW if begun else b"")

    def _answer_is_not_taken(self) -> None:
        if self.transport.get_write_buffer_size():
            self.cut("answer")

    def _stop_request_clock(self) -> None:
        if self._request_clock is not None:
            self._request_clock.cancel()
            self._request_clock = None

    def _stop_clocks(self) -> None:
        self._stop_answer_clock()
        self._stop_request_clock()
        # uvicorn leaves this one behind when a connection is not closed in order.
        self._unset_keepalive_if_required()

    def _start_answer_clock(self) -> None:
        if self._answer_clock is None:
            self._answer_clock = self.loop.call_later(self.limits.answer_seconds, self._answer_is_not_taken)

    def _stop_answer_clock(self) -> None:
        if self._answer_clock is not None:
            self._answer_clock.cancel()
            self._answer_clock = None

    # --- ends -----------------------------------------------------------------------------------------------------

    def _give_way(self) -> None:
        """Cut the silent one that has owed a request for longest, or this one where all wait for an answer of ours."""
        owing = [
            (other.owing_since, other)
            for other in self.connections
            if isinstance(other, Connection) and other is not self and other.owing_since is not None
        ]
        if owing:
            in_order = [other for _, other in sorted(owing, key=lambda each: each[0])]
            next((other for other in in_order if other.is_silent()), in_order[0]).cut("room")
        else:
            self.transport.write(_FULL)
            self.cut("full")

    def is_silent(self) -> bool:
        """Whether nothing that it sent waits to be read: where many come in a turn of the loop, none was read yet."""
        waiting = select.poll()
        waiting.register(self.transport.get_extra_info("socket"), select.POLLIN)
        return not waiting.poll(0)

    def cut(self, why: str, last_words: bytes = b"") -> None:
        """End it now; say why where nothing of another answer was said yet."""
        CONNECTIONS_CUT.labels(why).inc()
        self._over, self.owing_since = True, None
        self._stop_clocks()
        if self.cycle is not None and not self.cycle.response_complete:
            # Whoever reads the request learns that no more of it comes.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if last_words and self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(last_words)
            if self.transport.can_write_eof():
                self.transport.write_eof()
            else:
                # Over TLS there is no half of an end: ours is said, and waits for theirs.
                self.transport.close()
            # Closed at once, what is still being sent to us would be answered by a reset, which takes our words back.
            self.loop.call_later(LINGER_SECONDS, self.transport.abort)
        else:
            self.transport.abort()
