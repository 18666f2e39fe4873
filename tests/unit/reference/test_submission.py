"""SUB-1 to SUB-6: how each purchaser wants the key notice handed in."""

import pytest

from reference.codes import E_CONTRACT_SYSTEM, MAIL, SUBMISSION_CHANNELS
from reference.reader import Reference

EITHER = (E_CONTRACT_SYSTEM, MAIL)


@pytest.mark.parametrize(
    ("purchaser", "channels", "address"),
    [
        ("nambu-aomori", (MAIL,), "keiyaku@nambu-town.example"),
        ("omitama", (MAIL,), None),
        ("tochigi", (MAIL,), None),
        ("yomitan", (MAIL,), None),
        ("shirako", EITHER, None),
        ("ashikaga", EITHER, None),
        ("kanuma", EITHER, None),
        ("mlit", EITHER, None),
    ],
)
def test_each_purchaser_has_its_ways(
    purchaser: str, channels: tuple[str, ...], address: str | None, reference: Reference
) -> None:
    submission = reference.purchaser(purchaser).submission

    assert (submission.channels, submission.mail_address) == (channels, address)


def test_the_ways_are_worded_as_on_the_key_notice() -> None:
    assert [SUBMISSION_CHANNELS[channel].japanese for channel in EITHER] == [
        "電子契約システムへのアップロード",
        "電子メールに添付して送信",
    ]


def test_the_subject_of_the_mail_names_works_number_and_contractor(reference: Reference) -> None:
    for purchaser in reference.purchasers.values():
        subject = purchaser.submission.subject(
            works_name="見本{橋}架替工事", contract_number="10226-000017", contractor_name="株式会社髙﨑建設"
        )

        assert subject is not None
        for part in ("見本{橋}架替工事", "10226-000017", "株式会社髙﨑建設"):
            assert part in subject


def test_where_nothing_goes_by_mail_there_is_no_subject(reference: Reference) -> None:
    fields = reference.purchaser("mlit").submission.model_dump()
    uploaded = type(reference.purchaser("mlit").submission).model_validate(
        {**fields, "channels": (E_CONTRACT_SYSTEM,), "mail_subject": None}
    )

    assert uploaded.subject(works_name="a", contract_number="b", contractor_name="c") is None
