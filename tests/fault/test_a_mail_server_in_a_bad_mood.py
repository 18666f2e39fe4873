"""What a mail server may do to the whole stack: every letter arrives, or the contractor is told that it does not."""

import uuid
from collections import Counter
from pathlib import Path
from typing import Final

from reference import reader
from tests.fault.load import Sent, mails_told, nth_form, send
from tests.fault.settling import settled
from tests.support.lines import Side
from tests.support.running import Client, events_told, eventually
from tests.support.wired import WiredStack
from tests.support.wires import SmtpWire

APPLICATIONS: Final = 9
REFUSED: Final = "nobody@refused.example"
#: The longest pause of the tests' settings is reached long before.
IN_VAIN: Final = 12


async def _put_off(stack: WiredStack, contractor: Client, *, by_server: bool, times: int) -> Sent:
    """Send applications; their letters are put off so often before this returns."""
    before = events_told(stack, "notifier", "letter.put_off", by_server=by_server)
    sent = await send(contractor, APPLICATIONS)

    def often() -> bool:
        return events_told(stack, "notifier", "letter.put_off", by_server=by_server) >= before + times

    await eventually(often, 60, every_seconds=0.2)
    return sent


async def test_a_server_that_is_away_silent_or_refuses_everything_gets_each_letter_once_in_the_end(
    wired: WiredStack, tmp_path: Path
) -> None:
    contractor = await wired.contractor(f"mood-{uuid.uuid4().hex[:8]}")
    mails_before = await wired.mails_by_message_id()
    line = wired.line("notifier", "smtp")

    line.take_away()
    sent = await _put_off(wired, contractor, by_server=True, times=IN_VAIN)
    # Another that does not greet.
    line.mend()
    line.swallow()
    sent.add(await _put_off(wired, contractor, by_server=True, times=1))
    # Not now, to every address: each letter at least twice.
    line.mend()
    line.instead["RCPT"] = b"451 4.3.0 not now\r\n"
    sent.add(await _put_off(wired, contractor, by_server=False, times=2 * APPLICATIONS))
    assert await wired.mails_by_message_id() == mails_before, "nothing has left"
    line.mend()

    await settled(wired, contractor, sent, mails_before, tmp_path)


async def test_an_address_that_is_refused_is_told_and_the_others_get_their_letters(
    wired: WiredStack, tmp_path: Path
) -> None:
    contractor = await wired.contractor(f"refused-{uuid.uuid4().hex[:8]}")
    mails_before = await wired.mails_by_message_id()
    wired.line("notifier", "smtp").instead[REFUSED] = b"550 5.1.1 no such user\r\n"

    sent = await send(contractor, APPLICATIONS)
    refused, office = 3, reader.load().sureties["toto"].undeliverable_mail_to
    assert office is not None
    for _ in range(refused):
        form, ends, _ = nth_form(1)
        form["mail_address"] = REFUSED
        application_id = await contractor.apply(form, uuid.uuid4().hex)
        sent.ends[application_id] = ends
        sent.letters_to[application_id] = office

    async def all_told() -> bool:
        return await mails_told(contractor, "undeliverable") == refused

    await eventually(all_told, 60)
    await settled(wired, contractor, sent, mails_before, tmp_path, mails_to_the_office=refused)


async def _letters_while_the_line_fails(wired: WiredStack, folder: Path, *, side: Side) -> Counter[str]:
    """The mails of some applications, where one letter meets a line that hangs and one a line that breaks."""
    contractor = await wired.contractor(f"{side}-{uuid.uuid4().hex[:8]}")
    mails_before = await wired.mails_by_message_id()
    line = wired.line("notifier", "smtp")
    tripwires = [line.trip(SmtpWire.LETTER, side=side, then=then) for then in ("hangs", "ends")]

    sent = await send(contractor, APPLICATIONS)

    strikes = len(tripwires) if side == "after" else 0
    mails = await settled(wired, contractor, sent, mails_before, folder, strikes=strikes)
    assert all(tripwire.fired.is_set() for tripwire in tripwires)
    return mails


async def test_a_letter_whose_fate_nobody_knows_comes_again_under_the_same_name_and_only_that_one(
    wired: WiredStack, tmp_path: Path
) -> None:
    # The server has each of these letters; the first answer never comes, the second line breaks.
    mails = await _letters_while_the_line_fails(wired, tmp_path, side="after")

    assert sorted(mails.values(), reverse=True)[:3] == [2, 2, 1]


async def test_a_server_that_hangs_or_breaks_before_it_has_a_letter_gets_it_once(
    wired: WiredStack, tmp_path: Path
) -> None:
    await _letters_while_the_line_fails(wired, tmp_path, side="before")
