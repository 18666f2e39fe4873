"""How due letters leave: claimed, handed to an SMTP server, noted. Several at once, each over a line of its own.

At least once: a process that dies between the server's last answer and the note leaves a letter of which nobody
knows. It is sent again when its lease has run out, with the same Message-ID, or left to a person (`unknown_outcome`).
"""

import asyncio
import math
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from chassis.lifecycle import Progress
from chassis.outbox import Outbox
from chassis.postgres import UNAVAILABLE
from services.notifier.composing import Facts, NoAddress, as_sent, compose
from services.notifier.domain import GivenUp, Outcome, PutOff, Unclear
from services.notifier.ledger import CannotBeRead, Claimed, Ledger, told_of
from services.notifier.smtp import Line, Server

log = structlog.get_logger()


class Bell:
    """Wakes everyone who waits, so that a letter leaves at once and not at the next look. When it is silent, one of
    them looks every so often, for all: who finds a letter rings when it is noted.
    """

    def __init__(self, look_every_seconds: float) -> None:
        self.look_every_seconds = look_every_seconds
        self._rung = asyncio.Event()
        self._looked_at = -math.inf

    @property
    def next_ring(self) -> asyncio.Event:
        """To be taken before looking, so that no ring is missed between the look and the wait."""
        return self._rung

    def ring(self) -> None:
        rung, self._rung = self._rung, asyncio.Event()
        rung.set()

    async def calls(self, ring: asyncio.Event) -> bool:
        """Wait until it rings or somebody should look; False where another one did meanwhile."""
        wait = self._looked_at + self.look_every_seconds - time.monotonic()
        if wait > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await ring.wait()
            return ring.is_set()
        self._looked_at = time.monotonic()
        return True


class RingingOutbox(Outbox):
    """An outbox that rings the senders' bell, too: whatever was committed may have made a letter due."""

    def __init__(self, service: str, bell: Bell) -> None:
        super().__init__(service)
        self._bell = bell

    def wake(self) -> None:
        super().wake()
        self._bell.ring()


@dataclass
class Pause:
    """While a server takes nothing, nobody knocks: shared by all senders of a process, longer each time."""

    longest_seconds: float
    _next_seconds: float = field(default=0.0, init=False)
    _until: float = field(default=0.0, init=False)

    @property
    def seconds_left(self) -> float:
        return max(0.0, self._until - time.monotonic())

    def begin(self) -> None:
        if not self.seconds_left:
            self._next_seconds = min(max(self._next_seconds * 2, 0.5), self.longest_seconds)
            self._until = time.monotonic() + self._next_seconds

    def end(self) -> None:
        self._next_seconds = self._until = 0.0


class Sender:
    """Sends letters until cancelled. What goes wrong with one letter is noted on it and never ends the sender."""

    def __init__(self, ledger: Ledger, server: Server, *, bell: Bell, pause: Pause, drain_seconds: float) -> None:
        self._ledger = ledger
        self._line = Line(server)
        self._bell = bell
        self._pause = pause
        self._drain_seconds = drain_seconds

    async def run(self, progress: Progress) -> None:
        try:
            while True:
                progress.beat()
                bell = self._bell.next_ring
                if wait := self._pause.seconds_left:
                    await asyncio.sleep(min(wait, 5.0))
                    continue
                await self.send_due(progress)
                while not await self._bell.calls(bell):
                    progress.beat()
        finally:
            self._line.drop()

    async def send_due(self, progress: Progress) -> None:
        """Send one letter after the other, over one connection, until none is due or the server takes none."""
        while not self._pause.seconds_left and await self._send_one(progress):
            progress.beat()
        await self._line.hang_up()

    async def _send_one(self, progress: Progress) -> bool:
        """Whether there was a letter to send, and perhaps is another."""
        try:
            claimed = await self._ledger.claim()
        except Exception as error:
            # The database is away, or we are at fault. Nothing has left: look again.
            log.warning("sender.retrying", error=type(error).__name__, exc_info=not isinstance(error, UNAVAILABLE))
            return False
        if claimed is None:
            return False
        in_hand = asyncio.create_task(self._finish(claimed, progress))
        try:
            await asyncio.shield(in_hand)
        except asyncio.CancelledError:
            # Told to stop: bring the letter in hand to its end, else it would leave twice.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._drain_seconds):
                    await in_hand
            raise
        return True

    async def _finish(self, claimed: Claimed, progress: Progress) -> None:
        outcome = await self._hand_over(claimed)
        if isinstance(outcome, PutOff) and outcome.by_server:
            self._pause.begin()
        else:
            self._pause.end()
        delay = 0.1
        while True:
            try:
                await self._ledger.note(claimed, outcome)
            except Exception as error:  # noqa: BLE001 - what happened must be noted, however long it takes
                log.warning("letter.not_noted_yet", error=type(error).__name__, **told_of(claimed.row))
                progress.beat()
                await asyncio.sleep(delay)
                delay = min(delay * 2, 2.0)
            else:
                return

    async def _hand_over(self, claimed: Claimed) -> Outcome:
        try:
            facts = self._ledger.facts(claimed)
            if not isinstance(facts, Facts):
                return facts
            message = compose(facts, now=self._ledger.clock.now())
        except NoAddress:
            return GivenUp("no_address")
        except CannotBeRead:
            return GivenUp("unreadable")
        except Exception as error:  # noqa: BLE001 - our bug: the letter waits for a version without it, the others go on
            log.error("letter.not_composed", **_bug(error), **told_of(claimed.row))  # noqa: TRY400 - see _bug
            return PutOff(by_server=False)
        to: str = message["To"].addresses[0].addr_spec
        try:
            return await self._line.send(
                as_sent(message), sender=facts.surety.mail_from, recipient=to, until=claimed.ours_until
            )
        except Exception as error:  # noqa: BLE001 - our bug: nobody knows how far it came
            log.error("letter.not_handed_over", **_bug(error), **told_of(claimed.row))  # noqa: TRY400 - see _bug
            return Unclear()


def _bug(error: Exception) -> dict[str, str]:
    """What and where, without the error's words, which may repeat an address."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return {"error": type(error).__name__, "at": f"{last.filename}:{last.lineno}"}
