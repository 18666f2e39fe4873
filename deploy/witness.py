"""A witness of the log: cosigns each checkpoint that goes on from the last one it saw, and never another.

    python -m deploy.witness --secrets FOLDER --state FILE [--host 127.0.0.1] [--port 8127]

C2SP tlog-witness. It belongs to somebody else than the log; the one of this machine shows how, and proves nothing. Its
state, the size and root of each log that it saw last, is one small file: whoever sets that back lets a log be set back.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from transparency.errors import DoesNotVerify, Malformed
from transparency.signatures import SignerKey, VerifierKey
from transparency.strict import HASH_BYTES, from_base64, to_base64
from transparency.witness import BAD_REQUEST, COSIGNED, AddCheckpoint, Decision, Seen, decide

#: A checkpoint with all the signatures that a note may have is smaller.
LONGEST_REQUEST: Final = 64 * 1024
TOO_LARGE: Final = 413
DRAIN_SECONDS: Final = 5


class StateUnreadable(Exception):
    """The file is not what was written. A witness that forgot would cosign anything: it does not start."""


class Memory:
    """What was seen last of each log, on disk before anybody is told."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            noted = json.loads(file.read_text())
            self._seen = {
                origin: Seen(one["size"], from_base64(one["root"], HASH_BYTES)) for origin, one in noted.items()
            }
        except FileNotFoundError:
            self._seen = {}
        except (ValueError, KeyError, TypeError, AttributeError, DoesNotVerify):
            raise StateUnreadable(f"{file} cannot be read: put back what it was.") from None

    def of(self, origin: str) -> Seen:
        return self._seen.get(origin, Seen())

    def keep(self, origin: str, seen: Seen) -> None:
        """Durable when it returns."""
        kept = {**self._seen, origin: seen}
        text = json.dumps({name: {"size": one.size, "root": to_base64(one.root)} for name, one in kept.items()})
        number, name = tempfile.mkstemp(dir=self._file.parent, prefix=".seen-")
        with os.fdopen(number, "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(number)
        Path(name).replace(self._file)
        folder = os.open(self._file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._seen = kept


def make_app(
    signer: SignerKey, logs: Mapping[str, VerifierKey], memory: Memory, *, now: Callable[[], float] = time.time
) -> Starlette:
    """`logs`: origin → its key. `signer` is a key of type 0x04."""
    one_at_a_time = asyncio.Lock()

    async def add_checkpoint(request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > LONGEST_REQUEST:
                return PlainTextResponse("the request is too large\n", TOO_LARGE)
        try:
            asked = AddCheckpoint.parse(body)
        except Malformed as error:
            return PlainTextResponse(f"{error}\n", BAD_REQUEST)
        async with one_at_a_time:
            decision = await asyncio.to_thread(_decide, asked)
        return Response(decision.body, decision.status, {"Content-Type": decision.content_type})

    def _decide(asked: AddCheckpoint) -> Decision:
        key = logs.get(asked.origin)
        decision = decide(
            asked,
            log_keys=(key,) if key is not None else (),
            seen=memory.of(asked.origin),
            witness=signer,
            now=int(now()),
        )
        # The point of no return: from here on it was seen, whether or not the answer arrives.
        if decision.status == COSIGNED:
            memory.keep(asked.origin, decision.seen)
        return decision

    async def tell(_: Request) -> Response:
        """For people, and for whoever asks whether it serves."""
        lines = [f"{signer.verifier}", *(f"{origin} {memory.of(origin).size}" for origin in logs)]
        return PlainTextResponse("".join(f"{line}\n" for line in lines))

    return Starlette(
        routes=[Route("/add-checkpoint", add_checkpoint, methods=["POST"]), Route("/", tell, methods=["GET"])]
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.witness")
    parser.add_argument("--secrets", type=Path, required=True, help="folder with key and log_verifier_key")
    parser.add_argument("--state", type=Path, required=True, help="file of what was seen; its folder is there")
    parser.add_argument("--origin", help="of the log, where it is not called like its key")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8127)
    parser.add_argument("--certificate", type=Path, help="shown over TLS; with its key in one file")
    given = parser.parse_args()
    try:
        signer = SignerKey.parse((given.secrets / "key").read_text().strip()).as_cosigner()
        log_key = VerifierKey.parse((given.secrets / "log_verifier_key").read_text().strip())
        app = make_app(signer, {given.origin or log_key.name: log_key}, Memory(given.state))
    except (OSError, Malformed, StateUnreadable) as error:
        sys.exit(f"The witness does not start: {error}")
    # After a clean stop uvicorn raises the signal once more; the process shall end with 0, not by it.
    signal.signal(signal.SIGTERM, lambda *_: None)
    uvicorn.run(
        app,
        host=given.host,
        port=given.port,
        ssl_certfile=given.certificate,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


if __name__ == "__main__":
    main()
