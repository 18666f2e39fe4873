"""What is being asked on a connection, and what was answered? As much of four protocols as a tripwire needs.

Each wire is one connection's two directions. It cuts their bytes into whole messages, so that one can be withheld, and
says of each what it asks for, or which ask it answers: a text to look for words in, empty where nobody cares.
"""

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Final

#: A whole message as it travels, and what it asks or answers.
Message = tuple[bytes, str]


class Wire(ABC):
    @abstractmethod
    def asks(self, data: bytes) -> Iterator[Message]:
        """What the client sends."""

    @abstractmethod
    def answers(self, data: bytes) -> Iterator[Message]:
        """What the server sends. A refusal answers nothing."""


class PostgresWire(Wire):
    """Statements by their text; a COMMIT with everything that its transaction did.

    https://www.postgresql.org/docs/current/protocol-message-formats.html
    """

    #: Follows the transaction's statement that gave a row: a look for work that found some.
    A_ROW: Final = "(a row)"
    _STARTUP: Final = 196608
    _LENGTH: Final = 4

    def __init__(self) -> None:
        self._from_client = self._from_server = b""
        self._started = False
        #: What was asked before the session began (for TLS) is answered by one byte without a length.
        self._single_bytes = 0
        self._prepared: dict[bytes, str] = {}
        #: What the open transaction did; None outside of one.
        self._transaction: list[str] | None = None
        self._asked = ""

    def asks(self, data: bytes) -> Iterator[Message]:
        self._from_client += data
        while not self._started and (raw := self._cut_from_client(0)):
            (code,) = struct.unpack_from(">i", raw, self._LENGTH)
            self._started = code == self._STARTUP
            self._single_bytes += not self._started
            yield raw, ""
        while self._started and (raw := self._cut_from_client(1)):
            if asked := self._asked_by(raw[:1], raw[1 + self._LENGTH :]):
                self._asked = asked
            yield raw, asked

    def answers(self, data: bytes) -> Iterator[Message]:
        self._from_server += data
        while self._single_bytes and self._from_server:
            self._single_bytes -= 1
            single, self._from_server = self._from_server[:1], self._from_server[1:]
            yield single, ""
        while len(self._from_server) > self._LENGTH:
            end = 1 + struct.unpack_from(">i", self._from_server, 1)[0]
            if len(self._from_server) < end:
                return
            raw, self._from_server = self._from_server[:end], self._from_server[end:]
            answered = ""
            match raw[:1]:
                case b"D":
                    self._note(self.A_ROW)
                # Complete, or as many rows as were wanted.
                case b"C" | b"s":
                    answered, self._asked = self._asked, ""
                case b"E":
                    self._asked = ""
            yield raw, answered

    def _cut_from_client(self, head: int) -> bytes:
        if len(self._from_client) < head + self._LENGTH:
            return b""
        end = head + struct.unpack_from(">i", self._from_client, head)[0]
        if len(self._from_client) < end:
            return b""
        raw, self._from_client = self._from_client[:end], self._from_client[end:]
        return raw

    def _asked_by(self, kind: bytes, body: bytes) -> str:
        match kind:
            case b"P":
                name, text = body.split(b"\0")[:2]
                self._prepared[name] = text.decode()
                return ""
            case b"B":
                return self._statement(self._prepared.get(body.split(b"\0")[1], ""))
            case b"Q":
                return self._statement(body.rstrip(b"\0").decode())
            case _:
                return ""

    def _statement(self, text: str) -> str:
        if text.startswith("BEGIN"):
            self._transaction = []
        elif text.startswith(("COMMIT", "ROLLBACK;")):
            text = "\n".join((text, *(self._transaction or ())))
            self._transaction = None
        else:
            self._note(text)
        return text

    def _note(self, text: str) -> None:
        if self._transaction is not None and self._transaction[-1:] != [text]:
            self._transaction.append(text)


class KafkaWire(Wire):
    """Requests by the name of their API. https://kafka.apache.org/protocol.html#protocol_messages"""

    _NAMES: Final = {0: "Produce", 1: "Fetch", 8: "OffsetCommit", 11: "JoinGroup", 12: "Heartbeat"}
    _LENGTH: Final = 4

    def __init__(self) -> None:
        self._from_client = self._from_server = b""
        self._asked: dict[int, str] = {}

    def asks(self, data: bytes) -> Iterator[Message]:
        self._from_client += data
        while raw := self._cut(self._from_client):
            self._from_client = self._from_client[len(raw) :]
            api, _, correlation = struct.unpack_from(">hhi", raw, self._LENGTH)
            name = self._NAMES.get(api, "")
            self._asked[correlation] = name
            yield raw, name

    def answers(self, data: bytes) -> Iterator[Message]:
        self._from_server += data
        while raw := self._cut(self._from_server):
            self._from_server = self._from_server[len(raw) :]
            (correlation,) = struct.unpack_from(">i", raw, self._LENGTH)
            yield raw, self._asked.pop(correlation, "")

    def _cut(self, data: bytes) -> bytes:
        if len(data) < self._LENGTH:
            return b""
        end = self._LENGTH + struct.unpack_from(">i", data)[0]
        return data[:end] if len(data) >= end else b""


class SmtpWire(Wire):
    """Commands by their line; a letter, to its last dot, as LETTER. https://www.rfc-editor.org/rfc/rfc5321"""

    GREETING: Final = "GREETING"
    LETTER: Final = "LETTER"
    _END: Final = b"\r\n.\r\n"
    _CODE: Final = 3

    def __init__(self) -> None:
        self._from_client = self._from_server = b""
        self._in_letter = False
        self._asked = self.GREETING

    def asks(self, data: bytes) -> Iterator[Message]:
        self._from_client += data
        while self._from_client:
            end = self._END if self._in_letter else b"\r\n"
            raw, found, rest = self._from_client.partition(end)
            if not found:
                return
            self._from_client = rest
            self._asked = self.LETTER if self._in_letter else raw.decode(errors="replace")
            self._in_letter = False
            yield raw + end, self._asked

    def answers(self, data: bytes) -> Iterator[Message]:
        self._from_server += data
        while b"\r\n" in self._from_server:
            line, _, self._from_server = self._from_server.partition(b"\r\n")
            last = line[self._CODE : self._CODE + 1] != b"-"
            self._in_letter = self._in_letter or line.startswith(b"354")
            yield line + b"\r\n", self._asked if last and line[:1] in b"23" else ""


class HttpWire(Wire):
    """Requests by their first line, one after the other; of an answer, its beginning."""

    def __init__(self) -> None:
        self._asked = ""

    def asks(self, data: bytes) -> Iterator[Message]:
        line, _, rest = data.partition(b"\r\n")
        asked = line.decode(errors="replace") if rest and line.endswith(b" HTTP/1.1") else ""
        self._asked = asked or self._asked
        yield data, asked

    def answers(self, data: bytes) -> Iterator[Message]:
        yield data, self._asked if data.startswith(b"HTTP/1.1 2") else ""
