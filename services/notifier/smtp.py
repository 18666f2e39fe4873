"""How a letter is handed to an SMTP server, and how far it came. One conversation at a time, the connection kept."""

import asyncio
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import structlog
from aiosmtplib import SMTP, SMTPException, SMTPHeloError, SMTPResponseException

from chassis.tls import distrust, trusting
from services.notifier.domain import Outcome, PutOff, Sent, Stage, outcome_of_reply, outcome_of_silence

log = structlog.get_logger()


@dataclass(frozen=True)
class Server:
    """Where letters go, and how to speak there."""

    host: str
    port: int
    security: Literal["none", "starttls", "tls"] = "none"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    #: For a whole conversation. Shorter than the lease, so that nobody else has the letter meanwhile.
    timeout_seconds: float = 20.0
    #: Whose certificates count over TLS; the system's authorities' when there is none.
    ca_file: Path | None = None


class Line:
    """A connection that is opened when needed and kept while there is something to send."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._client: SMTP | None = None

    async def send(self, letter: bytes, *, sender: str, recipient: str, until: float) -> Outcome:
        """Hand over one letter. Never raises for what a server or a network does; the answer says what it means.

        Put off where the conversation could last longer than `until`, by the monotonic clock.
        """
        if time.monotonic() + self._server.timeout_seconds > until:
            # This process was frozen with the letter in hand: another one may have it by now.
            log.warning("smtp.too_late")
            return PutOff(by_server=False)
        stage = Stage.SERVER
        try:
            async with asyncio.timeout(self._server.timeout_seconds):
                client = await self._kept(sender)
                if client is None:
                    client = self._client = await self._connected()
                    stage = Stage.SENDER
                    await client.mail(sender)
                stage = Stage.RECIPIENT
                await client.rcpt(recipient)
                stage = Stage.LETTER
                await client.data(letter)
        except SMTPResponseException as error:
            if not 200 <= error.code < 600:  # noqa: PLR2004 - RFC 5321 4.2: what else comes is no reply
                return self._said_nothing(stage, error)
            if isinstance(error, SMTPHeloError):
                stage = Stage.SERVER
            log.info("smtp.answered", stage=stage.value, smtp_code=error.code)
            await self._forget_envelope(stage)
            return outcome_of_reply(stage, error.code, error.message)
        # A time-out, a lost connection, a TLS failure, a server without what we need: no answer about the letter.
        except (SMTPException, OSError, TimeoutError) as error:
            return self._said_nothing(stage, error)
        except BaseException:
            self.drop()
            raise
        return Sent()

    async def hang_up(self) -> None:
        """Nothing more to send for now."""
        client, self._client = self._client, None
        if client is not None:
            try:
                with suppress(SMTPException, OSError, TimeoutError):
                    async with asyncio.timeout(2):
                        await client.quit()
            finally:
                client.close()
        if (this := asyncio.current_task()) is not None and this.cancelling():
            # Told to stop just when QUIT was answered: aiosmtplib waits with `asyncio.wait_for`, which loses that.
            raise asyncio.CancelledError

    def drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _said_nothing(self, stage: Stage, error: Exception) -> Outcome:
        log.warning("smtp.silent", stage=stage.value, error=type(error).__name__, **distrust(error))
        self.drop()
        return outcome_of_silence(stage)

    async def _kept(self, sender: str) -> SMTP | None:
        """The connection of the last letter, if it takes another. The server may have closed it or have had enough
        of it; a new one is then no second attempt.
        """
        if self._client is not None and self._client.is_connected:
            with suppress(SMTPException, OSError):
                await self._client.mail(sender)
                return self._client
        self.drop()
        return None

    async def _connected(self) -> SMTP:
        server = self._server
        client = SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            # The library would ask DNS for the full name, and wait.
            local_hostname=socket.gethostname(),
            timeout=server.timeout_seconds,
            use_tls=server.security == "tls",
            # Never "if it offers to": who can cut a line could take the offer out.
            start_tls=server.security == "starttls",
            tls_context=trusting(server.ca_file) if server.security != "none" else None,
        )
        await client.connect()
        return client

    async def _forget_envelope(self, stage: Stage) -> None:
        """After a refused letter the connection is good for the next one; after anything else it is not kept."""
        if stage is Stage.SERVER or self._client is None or not self._client.is_connected:
            self.drop()
            return
        try:
            async with asyncio.timeout(2):
                await self._client.rset()
        except (SMTPException, OSError, TimeoutError):
            self.drop()
