"""Checkpoints: those of logs and witnesses that others run are read, and ours are believed as far as they are signed."""

import pytest

from tests.unit.transparency.building import LOG, ORIGIN, SIGNED_AT, TRUST, WATCHED, WITNESS, some_leaves
from transparency import checkpoints
from transparency.checkpoints import Checkpoint, Trust, open_checkpoint
from transparency.errors import DoesNotVerify, Malformed
from transparency.merkle import EMPTY_ROOT, Frontier
from transparency.notes import NobodySigned, Note, SignatureIsWrong, sign
from transparency.signatures import COSIGNATURE, SignerKey, VerifierKey

SUMDB = """go.sum database tree
6476701
mb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9Wk=

— sum.golang.org Az3grsLX85Gz+s1SiTbgkuqxgItqFq7gsMUEyVnrsa9LM7Us9S+1xbFIGu95949rj4nPRYfvimWEPWL+o3GeoWwOoAw=
"""
SUMDB_KEY = VerifierKey.parse("sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8")
#: A checkpoint of a staging log of Certificate Transparency with the cosignatures of four witnesses.
ARCHE = """arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
"""
ARCHE_KEY = VerifierKey.parse(
    "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"
)
REMORA = VerifierKey.parse("remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2")
FIVE = Checkpoint.of(ORIGIN, Frontier().extend(some_leaves(5))[0])


def test_a_checkpoint_of_the_go_checksum_database_is_read():
    signed = open_checkpoint(SUMDB, Trust("go.sum database tree", (SUMDB_KEY,)))
    assert signed.checkpoint.size == 6_476_701
    assert str(signed.checkpoint) == SUMDB.partition("\n\n")[0] + "\n"


def test_a_checkpoint_and_a_cosignature_of_the_public_witness_network_are_read():
    trust = Trust(ARCHE_KEY.name, (ARCHE_KEY,), (REMORA,), quorum=1)
    signed = open_checkpoint(ARCHE, trust)
    assert signed.checkpoint.size == 1_432_088_532
    assert signed.witnessed == {"remora.n621.de": 0x6A122120}
    with pytest.raises(SignatureIsWrong):
        open_checkpoint(ARCHE.replace("1432088532", "42"), trust)


def test_the_timestamp_of_a_cosignature_is_read_as_the_reference_reads_it():
    line = (
        "— x ZGhGuQAAAABm/qTPeyKXD+R2rzyQsxPiP8mXum7qq/iF0u4vanlqJyocWODBt97w9uL+8qT7S5gxEHWWOworDcFiEBYJXORmnFBOBA==\n"
    )
    assert int.from_bytes(Note.parse(f"a\n\n{line}").signatures[0].blob[:8]) == 1_727_964_367


def test_ours_is_opened_with_time_and_witness():
    note = checkpoints.sign(FIVE, LOG, at=SIGNED_AT)
    note = note.with_signatures([sign(note.text, WITNESS, at=SIGNED_AT + 3)])
    signed = open_checkpoint(str(note), WATCHED)
    assert signed.checkpoint == FIVE
    assert signed.signed_at == SIGNED_AT
    assert signed.witnessed == {WITNESS.name: SIGNED_AT + 3}


def test_without_a_time_none_is_told():
    assert open_checkpoint(str(checkpoints.sign(FIVE, LOG)), TRUST).signed_at is None


def test_a_timestamp_alone_is_no_signature_of_the_log():
    line = sign(str(FIVE), LOG.as_cosigner(), at=SIGNED_AT)
    with pytest.raises(NobodySigned):
        open_checkpoint(str(Note(str(FIVE), (line,))), TRUST)


def test_the_time_is_part_of_what_is_signed():
    note = str(checkpoints.sign(FIVE, LOG, at=SIGNED_AT))
    earlier = Note.parse(str(checkpoints.sign(FIVE, LOG, at=SIGNED_AT))).signatures[1]
    moved = type(earlier)(earlier.name, earlier.key_id, (SIGNED_AT - 60).to_bytes(8) + earlier.blob[8:])
    with pytest.raises(SignatureIsWrong):
        open_checkpoint(note.replace(str(earlier), str(moved)), TRUST)


def test_witnesses_too_few_are_not_enough():
    with pytest.raises(DoesNotVerify, match="0 of 1 witnesses"):
        open_checkpoint(str(checkpoints.sign(FIVE, LOG)), WATCHED)


def test_less_than_no_witness_is_no_quorum():
    with pytest.raises(Malformed):
        Trust(ORIGIN, (LOG.verifier,), (WITNESS.verifier,), quorum=-1)


def test_two_names_for_one_key_are_one_witness():
    twin = SignerKey("witness.example/w2", WITNESS.seed, COSIGNATURE)
    with pytest.raises(Malformed):
        Trust(ORIGIN, (LOG.verifier,), (WITNESS.verifier, twin.verifier), quorum=2)


def test_a_witness_that_signs_under_two_names_counts_once():
    twin = SignerKey("witness.example/w2", WITNESS.seed, COSIGNATURE)
    other = SignerKey("witness.example/w3", bytes(32), COSIGNATURE)
    trust = Trust(ORIGIN, (LOG.verifier,), (WITNESS.verifier, twin.verifier, other.verifier), quorum=2)
    note = checkpoints.sign(FIVE, LOG)
    with pytest.raises(DoesNotVerify, match="1 of 2 witnesses"):
        open_checkpoint(str(cosigned(note, WITNESS, twin)), trust)
    assert len(open_checkpoint(str(cosigned(note, WITNESS, other)), trust).witnessed) == 2


def cosigned(note, *witnesses):
    return note.with_signatures([sign(note.text, witness, at=SIGNED_AT) for witness in witnesses])


def test_a_checkpoint_of_another_log_is_refused_even_by_the_same_key():
    other = checkpoints.sign(Checkpoint("other.example/log", 5, FIVE.root), LOG)
    with pytest.raises(DoesNotVerify, match=r"of 'other\.example/log'"):
        open_checkpoint(str(other), TRUST)


def test_the_wrong_kind_of_key_is_refused():
    with pytest.raises(Malformed):
        Trust(ORIGIN, (WITNESS.verifier,))
    with pytest.raises(Malformed):
        Trust(ORIGIN, (LOG.verifier,), (LOG.verifier,))
    with pytest.raises(Malformed):
        sign("a\n", LOG, at=1)
    with pytest.raises(Malformed):
        sign("a\n", WITNESS)


@pytest.mark.parametrize("at", [0, -1, 2**63])
def test_a_cosignature_needs_a_time(at):
    with pytest.raises(Malformed):
        sign(str(FIVE), WITNESS, at=at)


def test_extension_lines_are_kept_and_signed():
    extended = Checkpoint(ORIGIN, 5, FIVE.root, ("extendo",))
    note = str(checkpoints.sign(extended, LOG, at=SIGNED_AT))
    assert open_checkpoint(note, TRUST).checkpoint == extended
    with pytest.raises(SignatureIsWrong):
        open_checkpoint(note.replace("extendo\n", ""), TRUST)


ROOT = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="


@pytest.mark.parametrize(
    "text",
    [
        "", "a\n", f"a\n1\n{ROOT}", f"\n1\n{ROOT}\n", f"a\n01\n{ROOT}\n", f"a\n+1\n{ROOT}\n", f"a\n１\n{ROOT}\n",
        f"a\n-1\n{ROOT}\n", f"a\n1\n{ROOT[:-1]}\n", f"a\n1\n{ROOT.replace('q2I=', 'q2J=')}\n", f"a\n1\n{ROOT}\n\n",
        f"a\n1\n{ROOT}\n\nx\n", "a\n1\nAAAA\n", f"a\n0\n{ROOT}\n", f"a\n99999999999999999999\n{ROOT}\n",
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(text):
    with pytest.raises(Malformed):
        Checkpoint.parse(text)


@pytest.mark.parametrize("origin", ["", "two\nlines"])
def test_what_cannot_be_an_origin_is_not_signed(origin):
    with pytest.raises(Malformed):
        checkpoints.sign(Checkpoint(origin, 0, EMPTY_ROOT), LOG)
