"""Who else saw our checkpoints? Each witness is asked by a task of its own, and nobody waits for it.

C2SP tlog-witness. A witness tells which size it saw last, so nothing about it need be remembered here.
"""

import asyncio
import contextlib
import http.client
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import structlog

from chassis.lifecycle import Progress
from chassis.postgres import UNAVAILABLE, Pool, transaction
from chassis.tls import trusting
from services.registry.log import proving, store
from services.registry.log.metrics import LOG_COSIGNED
from services.registry.log.proving import Signed
from services.registry.log.signing import Signing
from transparency.checkpoints import Trust
from transparency.errors import DoesNotVerify
from transparency.notes import NobodySigned, Note
from transparency.signatures import VerifierKey
from transparency.strict import decimal
from transparency.witness import CONFLICT, COSIGNED, UNPROCESSABLE, AddCheckpoint, accept_cosignatures

log = structlog.get_logger()

#: Of each step: connecting, or a byte that does not come.
TIMEOUT_SECONDS: Final = 5.0
#: Of all of it: who sends a byte from time to time holds nobody up either.
ANSWER_SECONDS: Final = 20.0
LONGEST_WAIT_SECONDS: Final = 30.0
LONGEST_ANSWER: Final = 64 * 1024


class WitnessAway(Exception):
    """It did not answer, or not as a witness does."""


@dataclass
class Witnessing:
    """Asks one witness to cosign each newest checkpoint. Safe to run in every process."""

    url: str
    key: VerifierKey
    signing: Signing
    pool: Callable[[], Pool]
    every_seconds: float = 1.0
    #: With https: whose certificates count; the system's authorities' when there is none.
    ca_file: Path | None = None
    #: Size that it cosigned last, as far as we know.
    seen: int = field(default=0, init=False)

    async def run(self, progress: Progress) -> None:
        delay = self.every_seconds
        while True:
            progress.beat()
            try:
                await self.ask()
                delay = self.every_seconds
            except WitnessAway as error:
                log.warning("witness.away", witness=self.key.name, why=str(error)[:200])
                delay = min(delay * 2, LONGEST_WAIT_SECONDS)
            except Exception as error:
                # The database is away, or we are at fault: the next round comes.
                log.warning("witness.retrying", error=type(error).__name__, exc_info=not isinstance(error, UNAVAILABLE))
            await asyncio.sleep(delay)

    async def ask(self) -> bool:
        """Whether the newest checkpoint bears its cosignature afterwards. Raises `WitnessAway`."""
        async with transaction(self.pool()) as tx:
            signed = await proving.newest(tx)
        if signed is None or self.signing.stopped:
            return False
        if self._cosigned(signed):
            self.seen = signed.size
            LOG_COSIGNED.labels(self.key.name).set(signed.size)
            return True
        status, answer = await self._post(signed)
        if status == CONFLICT and (told := _size(answer)) != self.seen:
            # It saw another size than we thought; a larger one than we ever signed tells that we were set back.
            async with transaction(self.pool()) as tx:
                newest = await proving.newest(tx)
            if newest is None or told > newest.size:
                self.signing.stop("log_rolled_back", f"{self.key.name} saw {told} leaves")
                return False
            self.seen = told
            if told > signed.size:
                return False
            status, answer = await self._post(signed)
        if status in {CONFLICT, UNPROCESSABLE} and (status == UNPROCESSABLE or _size(answer) == self.seen):
            # Same size and another root, or a beginning that is not ours.
            self.signing.stop("log_forked", f"{self.key.name} saw another log at {self.seen} leaves")
            return False
        if status != COSIGNED:
            raise WitnessAway(f"{status} {answer[:120]}")
        return await self._keep(signed, answer)

    def _cosigned(self, signed: Signed) -> bool:
        try:
            Note.parse(signed.note).verified_by([self.key])
        except NobodySigned:
            return False
        return True

    async def _post(self, signed: Signed) -> tuple[int, str]:
        async with transaction(self.pool()) as tx:
            proof = await proving.consistency(tx, min(self.seen, signed.size), signed.size)
        # No transaction is open while somebody else is asked.
        body = str(AddCheckpoint(min(self.seen, signed.size), tuple(proof), Note.parse(signed.note)))
        return await asyncio.to_thread(_post, self.url, body.encode(), self.ca_file)

    async def _keep(self, signed: Signed, answer: str) -> bool:
        """Verify the cosignature and add it to the note that is served, whatever others added meanwhile."""
        trust = Trust(self.signing.origin, (self.signing.signer.verifier,), (self.key,))
        async with transaction(self.pool()) as tx:
            note = Note.parse(await store.lock_checkpoint(tx, signed.size))
            try:
                cosigned = accept_cosignatures(note, answer, trust)
            except DoesNotVerify as error:
                raise WitnessAway(str(error)) from None
            await store.update_checkpoint(tx, signed.size, str(cosigned))
        self.seen = signed.size
        LOG_COSIGNED.labels(self.key.name).set(signed.size)
        return True


def _size(answer: str) -> int:
    try:
        return decimal(answer.strip())
    except DoesNotVerify:
        raise WitnessAway("a conflict without a size") from None


def _post(url: str, body: bytes, ca_file: Path | None) -> tuple[int, str]:
    """Status and body. No library for it is among the registry's packages, and none is missed."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    if parts.scheme == "https":
        context = trusting(ca_file)
        connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=context)
    late = threading.Timer(ANSWER_SECONDS, _hang_up, [connection])
    late.start()
    try:
        connection.request("POST", f"{parts.path.rstrip('/')}/add-checkpoint", body)
        answer = connection.getresponse()
        return answer.status, answer.read(LONGEST_ANSWER).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise WitnessAway(f"{type(error).__name__}: {error}") from None
    finally:
        late.cancel()
        connection.close()


def _hang_up(connection: http.client.HTTPConnection) -> None:
    if connection.sock is not None:
        with contextlib.suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)
