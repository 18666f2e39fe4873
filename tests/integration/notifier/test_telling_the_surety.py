"""A letter that was given up is told to the surety's office, once, where its profile says so; and nobody else is told."""

from collections.abc import Callable
from typing import Any

import pytest

from services.notifier.domain import GivenUp

LETTERS = ("completion", "returned", "viewed")
OFFICE = "mail-kanri@toto-hosho.example"
TITLES = {
    "completion": "電子保証（認証キー）発行完了のお知らせ",
    "returned": "お申込み内容の確認のお願い（差戻し）",
    "viewed": "電子証書閲覧のお知らせ",
}
WISHES = {
    "completion": {"wanted": True},
    "returned": {"wanted": False, "returned_wanted": True},
    "viewed": {"wanted": False, "viewed_wanted": True},
}


@pytest.fixture(autouse=True)
def office(world: Any) -> None:
    world.tell_surety_at("toto", OFFICE)


async def given_up(world: Any, a_case: Callable[..., Any], letter: str = "completion", **of_case: Any) -> Any:
    """A case whose letter the server refuses; the letter to the office is sent in the same go."""
    case = a_case(**{**WISHES[letter], **of_case})
    await world.take(*case.halves_of(letter))
    world.post.answers["RCPT"] = ["550 5.1.1 <tanto@kensetsu.example> unknown"]
    await world.send_due()
    return case


@pytest.mark.parametrize("letter", LETTERS)
async def test_the_office_learns_which_letter_of_what_was_given_up_and_why(
    world: Any, a_case: Callable[..., Any], letter: str
) -> None:
    case = await given_up(world, a_case, letter)

    (message,) = world.post.letters
    assert message["To"] == OFFICE
    assert message["Subject"] == "【要確認】お知らせメールが届きませんでした"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["List-Id"] == "<undeliverable.toto.toto-hosho.example>"
    assert message["X-Akashi-Correlation-Id"] == "corr-00000001"
    assert world.post.message_ids == [f"<{case.about_id(letter)}.undeliverable.{letter}@toto-hosho.example>"]
    number = case.wish.application_id if letter == "returned" else case.registered.contract_number
    for part in ("plain", "html"):
        said = str(message.get_body((part,)).get_content())
        for expected in (TITLES[letter], str(number), "市道1号線舗装工事", "栃木支店", "受け取りを拒否されました"):
            assert expected in said
    assert b"tanto@" not in world.post.raw[0]
    assert "tanto@" not in said
    assert "髙﨑" not in said


@pytest.mark.parametrize("letter", LETTERS)
async def test_only_the_contractors_letter_is_an_event(world: Any, a_case: Callable[..., Any], letter: str) -> None:
    """Else a follower would take the letter to the office for the contractor's."""
    case = await given_up(world, a_case, letter)

    assert await world.state(case, f"undeliverable.{letter}") == "sent"
    (event,) = await world.told()
    assert (event.letter, event.reason) == (letter, "refused")


async def test_it_is_told_once_however_often_anything_comes_again(world: Any, a_case: Callable[..., Any]) -> None:
    case = await given_up(world, a_case)

    await world.take(*case.halves, *case.halves)
    await world.shred(case)
    world.clock.advance(days=1)
    await world.sweeper().sweep()
    await world.send_due()

    assert len(world.post.letters) == 1
    assert len(await world.told()) == 1


async def test_each_letter_that_is_given_up_is_told(world: Any, a_case: Callable[..., Any]) -> None:
    case = a_case(returned_wanted=True, viewed_wanted=True, mail_address=None)
    await world.take(*case.halves, case.returned, case.viewed)

    await world.send_due()

    assert [message["To"] for message in world.post.letters] == [OFFICE] * 3
    assert len(set(world.post.message_ids)) == 3
    assert sorted(event.letter for event in await world.told()) == sorted(LETTERS)


async def test_a_letter_to_the_office_that_is_given_up_ends_there(
    world: Any, a_case: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    case = a_case()
    await world.take(*case.halves)
    world.post.answers["RCPT"] = ["550 no such user", "550 no such office"]

    await world.send_due()
    world.clock.advance(days=1)
    await world.send_due()

    assert world.post.letters == []
    assert await world.ledger_holds() == [
        ("completion", "undeliverable"),
        ("undeliverable.completion", "undeliverable"),
    ]
    assert [event.letter for event in await world.told()] == ["completion"]
    assert await world.pool.fetchval("SELECT count(*) FROM outbox") == 1
    assert "letter=undeliverable.completion" in capsys.readouterr().out
    assert (await world.letter(case, "undeliverable.completion"))["smtp_code"] == 550


async def test_a_surety_that_names_no_address_is_not_written_to(world: Any, a_case: Callable[..., Any]) -> None:
    world.tell_surety_at("toto", None)

    await given_up(world, a_case)

    assert world.post.letters == []
    assert await world.ledger_holds() == [("completion", "undeliverable")]


async def test_the_other_family_is_told_in_its_own_words(world: Any, a_case: Callable[..., Any]) -> None:
    world.tell_surety_at("nankai", "jimu@nankai-hosho.example")

    await given_up(world, a_case, surety_id="nankai")

    (message,) = world.post.letters
    assert message["To"] == "jimu@nankai-hosho.example"
    assert message["From"].addresses[0].addr_spec == "e-net@nankai-hosho.example"
    said = str(message.get_body(("plain",)).get_content())
    assert "電子証書・認証キー登録のお知らせ" in said
    assert "沖縄支店" in said


async def test_an_address_that_left_the_profile_meanwhile_ends_it(world: Any, a_case: Callable[..., Any]) -> None:
    case = a_case()
    await world.take(*case.halves)
    claimed = await world.ledger.claim()
    await world.ledger.note(claimed, GivenUp("refused", 550))
    world.tell_surety_at("toto", None)

    await world.send_due()

    row = await world.letter(case, "undeliverable.completion")
    assert (row["state"], row["reason"]) == ("undeliverable", "no_address")
    assert world.post.mails_begun == 0


async def test_a_shredded_letter_is_told_without_its_key(world: Any, a_case: Callable[..., Any]) -> None:
    case = a_case()
    await world.take(*case.halves)

    await world.shred(case)
    await world.shred(case)
    await world.send_due()

    (message,) = world.post.letters
    assert message["To"] == OFFICE
    assert "すでに消去されています" in str(message.get_body(("plain",)).get_content())
    assert [event.reason for event in await world.told()] == ["shredded"]


async def test_shredding_does_not_stop_a_letter_to_the_office(world: Any, a_case: Callable[..., Any]) -> None:
    case = a_case()
    await world.take(*case.halves)
    claimed = await world.ledger.claim()
    await world.ledger.note(claimed, GivenUp("refused", 550))
    assert await world.state(case, "undeliverable.completion") == "queued"

    await world.shred(case)
    await world.take(*case.halves)
    await world.send_due()

    assert await world.state(case, "undeliverable.completion") == "sent"
    assert len(await world.told()) == 1


async def test_of_two_that_give_up_the_same_letter_one_tells_the_office(world: Any, a_case: Callable[..., Any]) -> None:
    case = a_case()
    await world.take(*case.halves)
    slow = await world.ledger.claim()
    await world.leases_pass(seconds=60)
    quick = await world.ledger.claim()

    await world.ledger.note(quick, GivenUp("refused", 550))
    await world.ledger.note(slow, GivenUp("refused", 550))
    await world.ledger.note(quick, GivenUp("refused", 550))
    await world.send_due()

    assert len(world.post.letters) == 1


async def test_letter_event_and_letter_to_the_office_are_one_transaction(
    world: Any, a_case: Callable[..., Any]
) -> None:
    """Where the last of the three cannot be written, none is; noted again, all are."""
    case = a_case()
    await world.take(*case.halves)
    claimed = await world.ledger.claim()
    await world.pool.execute("ALTER TABLE letter ADD CONSTRAINT nobody CHECK (letter NOT LIKE 'undeliverable.%')")

    with pytest.raises(Exception, match="nobody"):
        await world.ledger.note(claimed, GivenUp("refused", 550))
    assert await world.ledger_holds() == [("completion", "sending")]
    assert await world.told() == []

    await world.pool.execute("ALTER TABLE letter DROP CONSTRAINT nobody")
    await world.ledger.note(claimed, GivenUp("refused", 550))
    assert await world.ledger_holds() == [("completion", "undeliverable"), ("undeliverable.completion", "queued")]


async def test_killed_between_claim_and_smtp_it_is_sent_again_under_the_same_name(
    world: Any, a_case: Callable[..., Any]
) -> None:
    case = a_case()
    await world.take(*case.halves)
    claimed = await world.ledger.claim()
    await world.ledger.note(claimed, GivenUp("refused", 550))
    assert (await world.ledger.claim()).row["letter"] == "undeliverable.completion"
    await world.leases_pass(seconds=60)

    await world.send_due()

    assert world.post.message_ids == [(await world.letter(case, "undeliverable.completion"))["message_id"]]
    assert await world.state(case, "undeliverable.completion") == "sent"


async def test_a_surety_that_left_reference_data_is_noted_all_the_same(world: Any, a_case: Callable[..., Any]) -> None:
    case = a_case()
    await world.take(*case.halves)
    claimed = await world.ledger.claim()
    del world.sureties["toto"]

    await world.ledger.note(claimed, GivenUp("refused", 550))

    assert await world.ledger_holds() == [("completion", "undeliverable")]
