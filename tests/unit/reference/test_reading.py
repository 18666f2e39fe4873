"""The files are read whole or refused whole, with the file and the field in the error."""

from collections.abc import Callable
from pathlib import Path

import pytest

from reference.errors import InvalidReference, Problem, UnknownPurchaser, UnknownSurety
from reference.reader import Reference, load

Edit = Callable[[str, str, str], None]


def the_problem(folder: Path) -> Problem:
    with pytest.raises(InvalidReference) as refused:
        load(folder)
    assert len(refused.value.problems) == 1, str(refused.value)
    return refused.value.problems[0]


def test_the_shipped_data_holds_these_parties(reference: Reference) -> None:
    assert set(reference.purchasers) == {
        "ashikaga",
        "kanuma",
        "mlit",
        "nambu-aomori",
        "omitama",
        "shirako",
        "tochigi",
        "yomitan",
    }
    assert set(reference.sureties) == {"nankai", "toto"}


def test_every_branch_has_blocks_for_fiscal_years_2024_to_2027(reference: Reference) -> None:
    for surety in reference.sureties.values():
        for branch in surety.branches:
            for year in range(2024, 2028):
                assert surety.blocks(branch.id, year)


def test_every_purchaser_is_handled_by_some_branch(reference: Reference) -> None:
    for purchaser_id in reference.purchasers:
        assert any(surety.branch_handling(purchaser_id) for surety in reference.sureties.values())


def test_no_two_blocks_are_alike(reference: Reference) -> None:
    blocks = [block for surety in reference.sureties.values() for row in surety.numbering for block in row.blocks]

    assert len(set(blocks)) == len(blocks)
    assert all(len(block) == 5 and block.isascii() and block.isdigit() for block in blocks)


def test_the_shipped_data_reaches_nobody_real(reference: Reference) -> None:
    for purchaser in reference.purchasers.values():
        assert (purchaser.submission.mail_address or ".example").endswith(".example")
    for surety in reference.sureties.values():
        assert surety.specimen
        assert surety.mail_from.endswith(".example")
        assert (surety.undeliverable_mail_to or ".example").endswith(".example")
        assert ".example/" in surety.portal_url
        assert ".example/" in surety.viewing_platform_url
        for branch in surety.branches:
            assert "-000-" in branch.telephone or "-0000-" in branch.telephone


def test_unknown_ids_are_named(reference: Reference) -> None:
    with pytest.raises(UnknownPurchaser) as purchaser:
        reference.purchaser("utsunomiya")
    with pytest.raises(UnknownSurety) as surety:
        reference.surety("hokuto")

    assert purchaser.value.purchaser_id == "utsunomiya"
    assert surety.value.surety_id == "hokuto"


def test_what_was_read_cannot_be_changed(reference: Reference) -> None:
    with pytest.raises(TypeError):
        reference.purchasers["tochigi"] = reference.purchaser("omitama")  # type: ignore[index]
    with pytest.raises(ValueError, match="frozen"):
        reference.purchaser("tochigi").name = "別の県"  # type: ignore[misc]


def test_the_version_is_the_declared_one_and_a_hash_of_the_files(folder: Path, reference: Reference) -> None:
    declared, digest = load(folder).version.split("+")

    assert declared == "2026.2"
    assert len(digest) == 12
    assert load(folder).version == reference.version


def test_any_edit_changes_the_version(folder: Path, edit: Edit, reference: Reference) -> None:
    edit("purchasers/tochigi.toml", "2024-04-01", "2024-04-02")

    assert load(folder).version != reference.version


@pytest.mark.parametrize(
    ("file", "old", "new", "field", "message"),
    [
        ("reference.toml", "2026.2", "draft", "version", "pattern"),
        ("purchasers/tochigi.toml", "starts_on = 2024-04-01", 'starts_on = "2024-04"', "starts_on", "valid date"),
        ("purchasers/tochigi.toml", "starts_on = 2024-04-01", "starts_on = 20240401", "starts_on", "valid date"),
        ("purchasers/tochigi.toml", "starts_on", "start_on", "start_on", "not permitted"),
        ("purchasers/tochigi.toml", 'title = "栃木県知事"\n', "", "title", "required"),
        ("purchasers/tochigi.toml", '"consignment"', '"consigment"', "works_kinds.1", "'consigment' is not one of"),
        ("purchasers/tochigi.toml", '"consignment"', '"construction"', "works_kinds", "more than once: construction"),
        ("purchasers/tochigi.toml", '"performance"', '"bid_bond"', "products.2", "'bid_bond' is not one of"),
        ("purchasers/tochigi.toml", '"contract_date"', '"order_date"', "date_basis", "is not one of contract_date"),
        ("purchasers/tochigi.toml", 'id = "tochigi"', 'id = "tochigi-ken"', "id", "does not match the file's name"),
        ("purchasers/nambu-aomori.toml", ".example", "", "submission.mail_address", "pattern"),
        ("purchasers/tochigi.toml", '["mail"]', '["mail", "fax"]', "submission.channels.1", "'fax' is not one of"),
        ("purchasers/tochigi.toml", '["mail"]', '["mail", "mail"]', "submission.channels", "more than once: mail"),
        ("purchasers/tochigi.toml", '["mail"]', "[]", "submission.channels", "at least 1 item"),
        ("purchasers/tochigi.toml", '["mail"]', '["e_contract_system"]', "submission", "need the channel mail"),
        ("purchasers/tochigi.toml", "mail_subject", "# mail_subject", "submission", "mail needs a mail_subject"),
        ("purchasers/tochigi.toml", "{works_name}", "{key}", "submission.mail_subject", "{key} is not one of"),
        ("purchasers/tochigi.toml", "{works_name}", "{}", "submission.mail_subject", "{} is not one of"),
        ("purchasers/tochigi.toml", "{works_name}", "{works_name!r}", "submission.mail_subject", "is not one of"),
        ("purchasers/tochigi.toml", "{works_name}", "{works_name:>9}", "submission.mail_subject", "is not one of"),
        ("purchasers/tochigi.toml", "{works_name}", "{works_name.x}", "submission.mail_subject", "is not one of"),
        ("purchasers/tochigi.toml", "{works_name}", "{works_name", "submission.mail_subject", ""),
        ("purchasers/tochigi.toml", "version = 2", "version = 0", "version", "greater than or equal to 1"),
        ("sureties/toto.toml", 'family = "net-desk"', 'family = "netdesk"', "family", "is not one of e-net, net-desk"),
        ("sureties/toto.toml", '"single"', '"both"', "desk_approval", "is not one of four_eyes, single"),
        ("sureties/toto.toml", '"0.400"', '"0.4"', "fee_rates.0.brackets.0.rate_percent", "three decimals"),
        ("sureties/toto.toml", '"0.400"', '"0.000"', "fee_rates.0.brackets.0.rate_percent", "greater than 0"),
        ("sureties/toto.toml", "up_to_yen = 100000000", "up_to_yen = 50000000", "fee_rates.0", "up_to_yen must ascend"),
        ("sureties/toto.toml", "{ rate_percent", "{ up_to_yen = 200000000, rate_percent", "fee_rates.0", "the last"),
        ("sureties/toto.toml", "{ up_to_yen = 10000000, ", "{ ", "fee_rates.0", "only the last bracket"),
        ("sureties/toto.toml", "from = 2026-04-01", "from = 2024-04-01", "fee_rates", "more than once from 2024-04-01"),
        ("sureties/toto.toml", "from = 2026-04-01", "from = 2024-03-31", "fee_rates", "not in order"),
        ("sureties/nankai.toml", "from = 2024-04-01", "from = 2024-04-02", "fee_rates", "no rates for advance_payment"),
        (
            "sureties/nankai.toml",
            'product = "interim_payment"',
            'product = "performance"',
            "fee_rates",
            "no rates for interim_payment",
        ),
        ("sureties/toto.toml", '"40.0"', '"40"', "limits.advance_payment_ratio_percent", "one decimal"),
        ("sureties/toto.toml", '"40.0"', '"140.0"', "limits.advance_payment_ratio_percent", "less than or equal"),
        ("sureties/toto.toml", '"per_guarantee"', '"lump_sum"', "fee_payment_methods", "more than once: lump_sum"),
        ("sureties/toto.toml", 'id = "chiba"', 'id = "aomori"', "branches", "more than once: aomori"),
        ("sureties/toto.toml", '"shirako"', '"omitama"', "branches", "more than one branch: omitama"),
        ("sureties/toto.toml", '"shirako"', '"choshi"', "branches.4.handles", "no such purchaser: choshi"),
        ("sureties/toto.toml", "from = 2024-06-28", "from = 2024-06-27", "officers", "overlap"),
        ("sureties/toto.toml", "from = 2024-06-28", "from = 2024-06-29", "officers", "nobody between"),
        ("sureties/toto.toml", "until = 2024-06-27\n", "", "officers", "overlap"),
        ("sureties/toto.toml", "until = 2024-06-27", "until = 2019-06-27", "officers.0", "until lies before from"),
        ("sureties/toto.toml", "from = 2020-06-26", "from = 2024-04-02", "numbering", "nobody signs before 見本 一郎"),
        (
            "sureties/toto.toml",
            "from = 2026-06-26",
            "from = 2026-06-26\nuntil = 2028-03-30",
            "numbering",
            "signs after",
        ),
        ("sureties/toto.toml", '"10124"', '"1012"', "numbering.0.blocks.0", "pattern"),
        ("sureties/toto.toml", '"10124"', '"１０１２４"', "numbering.0.blocks.0", "pattern"),
        ("sureties/toto.toml", '"10124"', '"10125"', "numbering", "block more than once: 10125"),
        ("sureties/toto.toml", '"10124"', '"20124"', "numbering.0.blocks", "block 20124 belongs to nankai"),
        ("sureties/toto.toml", '["10124", "10174"]', "[]", "numbering.0.blocks", "at least 1 item"),
        ("sureties/toto.toml", 'branch = "tokyo"', 'branch = "osaka"', "numbering", "no such branch: osaka"),
        ("sureties/toto.toml", "fiscal_year = 2025", "fiscal_year = 2028", "numbering", "tokyo has no blocks in 2025"),
        ("sureties/toto.toml", "fiscal_year = 2025", "fiscal_year = 2024", "numbering", "more than once: tokyo 2024"),
    ],
)
def test_a_broken_file_is_refused_by_file_and_field(
    *, folder: Path, edit: Edit, file: str, old: str, new: str, field: str, message: str
) -> None:
    edit(file, old, new)

    problem = the_problem(folder)

    assert (problem.file, problem.field) == (file, field)
    assert message in problem.message
    assert str(problem).startswith(f"{file}: {field}: ")


def test_a_file_that_is_no_toml_is_named(folder: Path) -> None:
    (folder / "purchasers/tochigi.toml").write_text("id = ", encoding="utf-8")

    assert the_problem(folder).file == "purchasers/tochigi.toml"


def test_a_file_that_is_no_utf_8_is_named(folder: Path) -> None:
    (folder / "purchasers/tochigi.toml").write_bytes('name = "栃木県"'.encode("cp932"))

    assert the_problem(folder).file == "purchasers/tochigi.toml"


def test_a_missing_declaration_is_named(folder: Path) -> None:
    (folder / "reference.toml").unlink()

    assert str(the_problem(folder)) == "reference.toml: No such file or directory"


def test_every_problem_is_told_at_once(folder: Path, edit: Edit) -> None:
    edit("purchasers/tochigi.toml", "version = 2", "version = 0")
    edit("sureties/nankai.toml", "specimen = true", 'specimen = "yes"')

    with pytest.raises(InvalidReference) as refused:
        load(folder)

    assert [(problem.file, problem.field) for problem in refused.value.problems] == [
        ("purchasers/tochigi.toml", "version"),
        ("sureties/nankai.toml", "specimen"),
    ]


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidReference) as refused:
        load(tmp_path)

    assert [problem.file for problem in refused.value.problems] == ["reference.toml", "purchasers/", "sureties/"]
