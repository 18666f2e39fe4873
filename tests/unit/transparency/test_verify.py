"""An auditor's command: what is right is told in one sentence, what is wrong with its place."""

import hashlib
import json
from dataclasses import replace

import pytest

from tests.unit.transparency.building import (
    LOG,
    ORIGIN,
    WITNESS,
    a_certificate,
    a_checkpoint,
    a_log,
    a_registration,
    a_view,
    an_id,
    as_leaves,
    at,
    content_of,
    content_sha256,
    frontier_of,
    nodes_of,
    write_export,
    write_manifest,
)
from transparency.__main__ import main
from transparency.export import Leaf, Previous
from transparency.merkle import inclusion_proof, leaf_hash
from transparency.proofs import make_proof
from transparency.signatures import SignerKey


@pytest.fixture
def audit(capsys):
    """Runs the command; returns exit code and sentence."""

    def run(*folders, key=LOG, witness=WITNESS, more=()):
        arguments = ["verify", *map(str, folders), "--key", str(key.verifier)]
        arguments += ["--witness", str(witness.verifier)] if witness else []
        code = main([*arguments, *map(str, more)])
        sentence = capsys.readouterr().out
        assert sentence.endswith(".\n")
        assert sentence.count("\n") == 1
        return code, sentence[:-1]

    return run


def test_a_log_in_order_is_told_in_one_sentence(tmp_path, audit):
    log = as_leaves(a_log(14))
    write_export(tmp_path / "export", log)
    code, sentence = audit(tmp_path / "export")
    assert code == 0
    root = frontier_of(log).root().hex()
    assert sentence == (
        f"Verified 42 leaves (14 certificates, 14 registrations, 14 views) of {ORIGIN}; size 42, root {root}; "
        "signed at 2026-04-02 03:00:00 UTC; seen by witness.example/w1 at 2026-04-02 03:00:05 UTC."
    )


def test_an_empty_log_verifies(tmp_path, audit):
    write_export(tmp_path / "export", [])
    assert audit(tmp_path / "export")[0] == 0


def test_what_was_erased_is_counted_and_breaks_no_proof(tmp_path, audit):
    log = as_leaves(a_log(3))
    for index in (3, 4, 5):
        log[index] = Leaf(index, log[index].commitment, None, None)
    write_export(tmp_path / "export", log)
    code, sentence = audit(tmp_path / "export")
    assert code == 0
    assert "(2 certificates, 2 registrations, 2 views, 3 erased)" in sentence


@pytest.mark.parametrize("erased", ["salt", "document"])
def test_what_is_half_erased_is_a_finding(tmp_path, audit, erased):
    log = as_leaves(a_log(2))
    log[2] = replace(log[2], salt=None) if erased == "salt" else replace(log[2], document=None)
    write_export(tmp_path / "export", log)
    code, sentence = audit(tmp_path / "export")
    assert code == 1
    assert sentence.startswith(f"log/leaves-0.jsonl, line 3, index 2, field {erased}: ")


def test_a_leaf_of_later_days_is_counted(tmp_path, audit):
    write_export(tmp_path / "export", as_leaves([*a_log(1), {"type": "answer"}]))
    assert "1 of a type not known here" in audit(tmp_path / "export")[1]


TWICE = a_certificate(9)
BROKEN = {
    "a registration without its certificate": ([a_registration(1)], 0, "certificate_id", "is of no certificate"),
    "a registration before its certificate": (
        [a_registration(1), a_certificate(1)],
        0,
        "certificate_id",
        "before this",
    ),
    "a certificate twice": ([a_certificate(0), a_certificate(0)], 1, "certificate_id", "at index 0"),
    "two for one number and version": (
        [a_certificate(0), a_certificate(1), a_certificate(2, contract_number=a_certificate(0)["contract_number"])],
        2,
        "contract_number",
        "at index 0",
    ),
    "two for one application, product and version": (
        [a_certificate(0), a_certificate(1, application_id=an_id("application", 0))],
        1,
        "application_id",
        "at index 0",
    ),
    "a view of what was not registered": ([a_certificate(0), a_view(0)], 1, "certificate_id", "not registered"),
    "a view of nothing": ([a_view(0)], 0, "certificate_id", "is of no certificate"),
    "a registration twice": (
        [a_certificate(0), a_registration(0), a_registration(0)],
        2,
        "certificate_id",
        "a second time",
    ),
    "a view twice": ([*a_log(1), a_view(0)], 3, "view_id", "earlier view"),
    "another content registered than issued": (
        [a_certificate(0), a_registration(0, content_sha256=content_sha256(1))],
        1,
        "content_sha256",
        "at index 0",
    ),
    "a purchaser that is not the certificate's": (
        [a_certificate(0), a_registration(0), a_view(0, purchaser_id="ibaraki")],
        2,
        "purchaser_id",
        "at index 0",
    ),
    "registered before it was issued": (
        [a_certificate(0), a_registration(0, registered_at=at(-6))],
        1,
        "registered_at",
        "before the certificate's issue",
    ),
    "viewed before it was registered": (
        [a_certificate(0), a_registration(0), a_view(0, viewed_at=at(-5))],
        2,
        "viewed_at",
        "before the certificate's registration",
    ),
    "a day that no calendar has": (
        [a_certificate(0, issued_at="2026-02-30T00:00:00.000000Z")],
        0,
        "issued_at",
        "is no date",
    ),
    "a field too many": ([{**a_certificate(0), "colour": "red"}], 0, "colour", "does not belong"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_must_never_be_logged_is_found_though_it_is_signed(tmp_path, audit, what):
    documents, index, field, words = BROKEN[what]
    write_export(tmp_path / "export", as_leaves(documents))
    code, sentence = audit(tmp_path / "export")
    assert code == 1
    assert sentence.startswith(f"log/leaves-0.jsonl, line {index + 1}, index {index}, field document.{field}: ")
    assert words in sentence


def test_what_is_told_of_a_hostile_export_is_one_line_and_moves_no_cursor(tmp_path, audit):
    hostile = {**a_certificate(0), "x\r\n\x1b[2Kverified\u202e": 1}
    write_export(tmp_path / "export", as_leaves([hostile]))
    code, sentence = audit(tmp_path / "export")
    assert code == 1
    assert sentence.strip().isprintable()
    assert r"x\r\n\x1b[2Kverified\u202e" in sentence


def test_clocks_may_differ_by_as_much_as_is_allowed(tmp_path, audit):
    write_export(tmp_path / "export", as_leaves([a_certificate(0), a_registration(0, registered_at=at(-4))]))
    assert audit(tmp_path / "export")[0] == 0
    assert audit(tmp_path / "export", more=["--allowed-skew", "3"])[0] == 1


@pytest.mark.parametrize("seconds", ["nan", "inf", "1e300", "-1", "five"])
def test_a_skew_that_is_no_time_is_refused(tmp_path, seconds, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(tmp_path), "--key", str(LOG.verifier), f"--allowed-skew={seconds}"])
    assert ended.value.code == 2
    assert "argument --allowed-skew: " in capsys.readouterr().err


def test_the_last_moment_of_all_is_a_moment(tmp_path, audit):
    last = "9999-12-31T23:59:59.999999Z"
    write_export(tmp_path / "export", as_leaves([a_certificate(0), a_registration(0, registered_at=last)]))
    assert audit(tmp_path / "export")[0] == 0


def test_two_versions_of_one_contract_are_in_order(tmp_path, audit):
    second = a_certificate(0, certificate_id=an_id("certificate", 99), version=2, change_number=1)
    write_export(tmp_path / "export", as_leaves([*a_log(1), second]))
    assert audit(tmp_path / "export")[0] == 0


# Whom to believe


def test_another_key_is_not_believed(tmp_path, audit):
    write_export(tmp_path / "export", as_leaves(a_log(2)))
    code, sentence = audit(tmp_path / "export", key=SignerKey(ORIGIN, bytes(32)))
    assert code == 1
    assert sentence.startswith("manifest.json, field log.checkpoint: the checkpoint is not signed by the log")


def test_a_witness_that_saw_nothing_is_missed(tmp_path, audit):
    write_export(tmp_path / "export", as_leaves(a_log(2)))
    other = SignerKey("witness.example/w2", bytes(32), 4)
    assert "0 of 1 witnesses" in audit(tmp_path / "export", witness=other)[1]
    assert audit(tmp_path / "export", witness=other, more=["--quorum", "0"])[0] == 0


def test_a_key_that_is_none_is_said(tmp_path, capsys):
    assert main(["verify", str(tmp_path), "--key", "nonsense"]) == 1
    assert "nonsense" in capsys.readouterr().out


def test_a_folder_that_is_none_is_said(tmp_path, audit):
    assert audit(tmp_path / "nowhere") == (1, "manifest.json: there is no such file.")


def test_a_manifest_signed_by_another_is_refused(tmp_path, audit):
    manifest = write_export(tmp_path / "export", as_leaves(a_log(2)))
    write_manifest(tmp_path / "export", manifest, SignerKey(ORIGIN, bytes(32)))
    assert audit(tmp_path / "export")[1].startswith("manifest.note: none of the trusted keys signed")


# What came before


def a_chain(folder):
    """A full export of 9 leaves and one of the 12 that followed."""
    log = as_leaves(a_log(3))
    log += as_leaves([a_view(0, view_id=an_id("view", 77)), *a_log(3, first=3), a_registration(9), a_view(9)], first=9)
    log = log[:-2]
    write_export(folder / "first", log[:9])
    start = frontier_of(log[:9])
    manifest = hashlib.sha256((folder / "first/manifest.json").read_bytes()).hexdigest()
    previous = Previous(str(a_checkpoint(start)), manifest, start)
    write_export(folder / "second", log[9:], after=start, previous=previous)
    return log


def test_a_chain_of_exports_is_one_log(tmp_path, audit):
    a_chain(tmp_path)
    code, sentence = audit(tmp_path / "first", tmp_path / "second")
    assert code == 0
    assert "Verified 19 leaves (6 certificates, 6 registrations, 7 views)" in sentence
    assert "consistent with the checkpoints of size 9" in sentence


def test_a_later_export_alone_is_verified_and_says_what_it_could_not_see(tmp_path, audit):
    a_chain(tmp_path)
    code, sentence = audit(tmp_path / "second")
    assert code == 0
    assert "from leaf 9 on, 1 leaves being about earlier certificates" in sentence
    assert "consistent with the checkpoints of size 9" in sentence


@pytest.mark.parametrize("order", [("second", "first"), ("first", "first"), ("second", "second")])
def test_exports_in_another_order_are_no_chain(tmp_path, audit, order):
    a_chain(tmp_path)
    assert audit(*(tmp_path / name for name in order))[1].endswith(
        "previous: does not go on from the export before it."
    )


def test_a_beginning_that_was_not_signed_is_found(tmp_path, audit):
    log = as_leaves(a_log(6))
    forged = frontier_of(as_leaves(a_log(3, first=50)))
    previous = Previous(str(a_checkpoint(frontier_of(log[:9]))), None, forged)
    write_export(tmp_path / "export", log[9:], after=forged, previous=previous)
    code, sentence = audit(tmp_path / "export")
    assert code == 1
    assert sentence.startswith("manifest.json, field previous.checkpoint: the first 9 leaves have the root ")


def test_a_log_that_contradicts_its_own_previous_checkpoint_is_found(tmp_path, audit):
    previous = Previous(str(a_checkpoint(frontier_of(as_leaves(a_log(3, first=50))))), None, None)
    write_export(tmp_path / "export", as_leaves(a_log(6)), previous=previous)
    assert audit(tmp_path / "export")[1].startswith("manifest.json, field previous.checkpoint: the first 9 leaves have")


def test_a_checkpoint_that_was_kept_must_be_in_the_log(tmp_path, audit):
    log = as_leaves(a_log(6))
    write_export(tmp_path / "export", log)
    kept = tmp_path / "kept.note"
    kept.write_text(str(a_checkpoint(frontier_of(log[:11]))), encoding="utf-8")
    code, sentence = audit(tmp_path / "export", more=["--checkpoint", kept])
    assert code == 0
    assert "consistent with the checkpoints of size 11" in sentence

    kept.write_text(str(a_checkpoint(frontier_of(as_leaves(a_log(4, first=50))))), encoding="utf-8")
    assert audit(tmp_path / "export", more=["--checkpoint", kept])[1].startswith("kept.note: the first 12 leaves have")

    kept.write_text(str(a_checkpoint(frontier_of(as_leaves(a_log(7))))), encoding="utf-8")
    sentence = audit(tmp_path / "export", more=["--checkpoint", kept])[1]
    assert sentence == "kept.note: is of size 21, and the export ends before that."


# One certificate


def test_a_certificate_is_found_by_its_content(tmp_path, audit):
    write_export(tmp_path / "export", as_leaves(a_log(5)))
    file = tmp_path / "certificate.json"
    file.write_text(json.dumps(content_of(3), indent=2), encoding="utf-8")
    code, sentence = audit(tmp_path / "export", more=["--certificate", file])
    assert code == 0
    assert sentence.endswith("; certificate.json is its leaf 9.")
    file.write_text(json.dumps(content_of(7)), encoding="utf-8")
    assert audit(tmp_path / "export", more=["--certificate", file]) == (1, "certificate.json: is not in the export.")
    file.write_text("[" * 600 + "]" * 600, encoding="utf-8")
    assert audit(tmp_path / "export", more=["--certificate", file]) == (1, "certificate.json: nested too deeply.")


def test_a_certificate_is_found_by_its_proof(tmp_path, audit):
    log = as_leaves(a_log(5))
    write_export(tmp_path / "export", log)
    early = log[:8]
    hashes = [leaf_hash(leaf.commitment) for leaf in early]
    path = inclusion_proof(3, 8, nodes_of(hashes))
    file = tmp_path / "proof.json"
    for is_seen in (True, False):
        note = str(a_checkpoint(frontier_of(early), is_seen=is_seen))
        proof = make_proof(log[3].document or {}, log[3].salt or b"", 3, path, note)
        file.write_text(json.dumps(proof), encoding="utf-8")
        code, sentence = audit(tmp_path / "export", more=["--certificate", file])
        assert code == 0, "a proof that was saved before a witness saw its checkpoint, is one, too"
        assert sentence.endswith("consistent with the checkpoints of size 8; proof.json is its leaf 3.")

    write_export(tmp_path / "other", as_leaves(a_log(5, first=50)))
    code, sentence = audit(tmp_path / "other", more=["--certificate", file])
    assert code == 1
    assert sentence.startswith("proof.json: ")


def test_a_proof_that_is_wrong_is_told_before_the_log_is_read(tmp_path, audit):
    file = tmp_path / "proof.json"
    file.write_text('{"format": "akashi-proof/1"}', encoding="utf-8")
    assert audit(tmp_path, more=["--certificate", file]) == (1, "proof.json: field checkpoint is missing.")
