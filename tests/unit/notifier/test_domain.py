"""Who is told, what an SMTP server's answer means, and when it is asked again."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from pydantic import ValidationError

from services.notifier.domain import (
    BackOff,
    GivenUp,
    Outcome,
    PutOff,
    Stage,
    Unclear,
    kind_of,
    list_id,
    message_id,
    outcome_of_reply,
    outcome_of_silence,
    told_by,
    undeliverable,
)
from services.notifier.settings import NotifierSettings

NOW = datetime(2026, 4, 1, 0, 0, tzinfo=UTC)


def test_the_same_letter_always_has_the_same_message_id() -> None:
    identity = message_id(UUID(int=1), "completion", mail_from="netdesk@toto-hosho.example")

    assert identity == "<00000000-0000-0000-0000-000000000001.completion@toto-hosho.example>"


@pytest.mark.parametrize("letter", ["completion", "returned", "viewed"])
def test_a_letter_to_the_surety_is_named_after_the_letter_it_tells_of(letter: str) -> None:
    named = undeliverable(letter)

    assert (kind_of(letter), told_by(letter)) == (letter, None)
    assert (kind_of(named), told_by(named)) == ("undeliverable", letter)
    identity = message_id(UUID(int=1), named, mail_from="netdesk@toto-hosho.example")
    assert identity == f"<00000000-0000-0000-0000-000000000001.undeliverable.{letter}@toto-hosho.example>"
    assert (
        list_id(named, surety_id="toto", mail_from="netdesk@toto-hosho.example")
        == "<undeliverable.toto.toto-hosho.example>"
    )


@pytest.mark.parametrize("stage", [Stage.RECIPIENT, Stage.LETTER])
@pytest.mark.parametrize("smtp_code", [500, 550, 552, 553, 554, 571])
def test_a_final_no_to_address_or_letter_gives_up(stage: Stage, smtp_code: int) -> None:
    assert outcome_of_reply(stage, smtp_code, "") == GivenUp("refused", smtp_code)


@pytest.mark.parametrize("stage", [Stage.SENDER, Stage.RECIPIENT, Stage.LETTER])
@pytest.mark.parametrize("smtp_code", [450, 451, 452])
def test_a_no_for_now_puts_this_letter_off(stage: Stage, smtp_code: int) -> None:
    assert outcome_of_reply(stage, smtp_code, "") == PutOff(by_server=False, smtp_code=smtp_code)


@pytest.mark.parametrize("smtp_code", [421, 450, 500, 550, 554])
def test_a_no_in_the_greeting_is_about_us_and_ends_no_letter(smtp_code: int) -> None:
    assert outcome_of_reply(Stage.SERVER, smtp_code, "") == PutOff(by_server=True, smtp_code=smtp_code)


@pytest.mark.parametrize("smtp_code", [421, 454, 530, 535])
def test_some_replies_are_about_us_whenever_they_come(smtp_code: int) -> None:
    for stage in Stage:
        assert outcome_of_reply(stage, smtp_code, "") == PutOff(by_server=True, smtp_code=smtp_code)


@pytest.mark.parametrize("stage", [Stage.RECIPIENT, Stage.LETTER])
@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("5.7.1 Relay access denied", PutOff(by_server=False, smtp_code=550)),
        ("5.7.26 unauthenticated sender", PutOff(by_server=False, smtp_code=550)),
        ("5.1.8 sender domain not found", PutOff(by_server=False, smtp_code=550)),
        ("5.3.2 not accepting mail", PutOff(by_server=False, smtp_code=550)),
        ("5.3.4 too big", GivenUp("refused", 550)),
        ("5.3.0 refused", GivenUp("refused", 550)),
        ("5.1.1 no such user, see 5.7.1", GivenUp("refused", 550)),
        ("5.1.10 null MX", GivenUp("refused", 550)),
        ("no such user", GivenUp("refused", 550)),
    ],
)
def test_a_final_no_that_says_it_is_about_us_ends_no_letter(stage: Stage, text: str, outcome: Outcome) -> None:
    assert outcome_of_reply(stage, 550, text) == outcome


def test_a_refused_sender_waits_for_whoever_can_mend_it() -> None:
    assert outcome_of_reply(Stage.SENDER, 550, "") == PutOff(by_server=False, smtp_code=550)


def test_silence_before_the_letter_left_is_no_outcome_of_it() -> None:
    assert outcome_of_silence(Stage.SERVER) == PutOff(by_server=True)
    assert outcome_of_silence(Stage.SENDER) == PutOff(by_server=True)
    assert outcome_of_silence(Stage.RECIPIENT) == PutOff(by_server=False)


def test_silence_after_the_letter_was_begun_leaves_it_unclear() -> None:
    assert outcome_of_silence(Stage.LETTER) == Unclear()


def test_waits_grow_by_schedule_and_the_last_one_repeats() -> None:
    back_off = BackOff((5, 30, 120), give_up_after_seconds=3600)

    waits = [back_off.next_try(deferrals=n, attempts=n + 1, queued_at=NOW, now=NOW) for n in range(5)]

    assert waits == [NOW + timedelta(seconds=s) for s in (5, 30, 120, 120, 120)]


def test_a_letter_that_waited_too_long_is_given_up() -> None:
    back_off = BackOff((5,), give_up_after_seconds=3600)

    def next_try(after_seconds: int) -> datetime | None:
        now = NOW + timedelta(seconds=after_seconds)
        return back_off.next_try(deferrals=1, attempts=2, queued_at=NOW, now=now)

    assert next_try(3599) is not None
    assert next_try(3600) is None


def test_a_clock_that_leaps_ahead_gives_up_no_letter_before_it_was_tried_by_the_whole_schedule() -> None:
    back_off = BackOff((5, 30, 120), give_up_after_seconds=3600)
    leapt = NOW + timedelta(days=400)

    tries = [back_off.next_try(deferrals=n, attempts=n + 1, queued_at=NOW, now=leapt) for n in range(3)]

    assert tries == [leapt + timedelta(seconds=5), leapt + timedelta(seconds=30), None]


def test_the_default_schedule_lasts_four_days(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = NotifierSettings()

    assert settings.back_off_seconds == (5, 30, 120, 600, 1800, 3600)
    assert settings.give_up_after_seconds == timedelta(days=4).total_seconds()


def test_the_schedule_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AKASHI_BACK_OFF_SECONDS", "[0.1, 1]")
    monkeypatch.setenv("AKASHI_SMTP_HOST", "mail.example")

    settings = NotifierSettings()

    assert (settings.back_off_seconds, settings.smtp_host) == ((0.1, 1), "mail.example")


def test_a_lease_that_could_end_during_its_conversation_is_refused() -> None:
    with pytest.raises(ValidationError):
        NotifierSettings(smtp_timeout_seconds=20, lease_seconds=20)
