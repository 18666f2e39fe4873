"""A witness cosigns what goes on from what it saw, and nothing else (C2SP tlog-witness)."""

import pytest

from tests.unit.transparency.building import LOG, ORIGIN, TRUST, WATCHED, WITNESS, nodes_of, root_of, some_leaves
from transparency import checkpoints
from transparency.checkpoints import Checkpoint, open_checkpoint
from transparency.errors import Malformed
from transparency.merkle import EMPTY_ROOT, consistency_proof, leaf_hash
from transparency.notes import Note, SignatureIsWrong, sign
from transparency.signatures import SignerKey
from transparency.witness import AddCheckpoint, Seen, accept_cosignatures, decide

LEAVES = some_leaves(40)
FORKED = [*LEAVES[:9], leaf_hash(b"forged"), *LEAVES[10:]]
NOW = 1_775_000_000
#: The example of the specification, word for word.
EXAMPLE = """old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
"""


def asked(old: int, new: int, leaves=LEAVES, *, proof=None, signer: SignerKey = LOG) -> AddCheckpoint:
    """A request as an honest log makes it, over these leaves."""
    lines = consistency_proof(min(old, new), new, nodes_of(leaves)) if proof is None else proof
    note = checkpoints.sign(Checkpoint(ORIGIN, new, root_of(leaves[:new])), signer, at=NOW)
    return AddCheckpoint(old, tuple(lines), note)


def seen(size: int, leaves=LEAVES) -> Seen:
    return Seen(size, root_of(leaves[:size]))


def decided(request: AddCheckpoint, state: Seen, *, known: bool = True):
    return decide(request, log_keys=(LOG.verifier,) if known else (), seen=state, witness=WITNESS, now=NOW)


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 7), (7, 7), (7, 8), (8, 40), (39, 40)])
def test_what_goes_on_is_cosigned_and_remembered(old, new):
    request = asked(old, new)
    decision = decided(request, seen(old))
    assert decision.status == 200
    assert decision.seen == seen(new)
    accepted = accept_cosignatures(request.note, decision.body, WATCHED)
    assert open_checkpoint(str(accepted), WATCHED).witnessed == {WITNESS.name: NOW}


@pytest.mark.parametrize("old", [0, 6, 8, 40])
def test_a_log_that_is_mistaken_about_the_last_size_is_told_it(old):
    decision = decided(asked(old, 40), seen(7))
    assert (decision.status, decision.body, decision.content_type) == (409, "7\n", "text/x.tlog.size")
    assert decision.seen == seen(7)


def test_a_rollback_is_refused_however_it_is_asked_for():
    for request in (asked(0, 5), asked(5, 7), asked(7, 7)):
        assert decided(request, seen(20)).status == 409
    assert decided(asked(20, 7, proof=[]), seen(20)).status == 400


def test_a_fork_of_the_same_size_is_a_conflict():
    decision = decided(asked(20, 20, FORKED), seen(20))
    assert decision.status == 409
    assert decision.seen == seen(20)


@pytest.mark.parametrize("proof", [None, []])
def test_a_fork_that_grew_has_no_proof(proof):
    decision = decided(asked(20, 30, FORKED, proof=proof), seen(20))
    assert decision.status == 422
    assert decision.seen == seen(20)


def test_a_proof_where_none_belongs_is_refused():
    assert decided(asked(0, 7, proof=[EMPTY_ROOT]), Seen()).status == 422
    assert decided(asked(7, 7, proof=[EMPTY_ROOT]), seen(7)).status == 422


def test_an_unknown_log_is_not_found():
    assert decided(asked(0, 7), Seen(), known=False).status == 404


def test_what_the_log_did_not_sign_is_forbidden():
    stranger = SignerKey(ORIGIN, bytes(32))
    assert decided(asked(0, 7, signer=stranger), Seen()).status == 403
    honest = asked(0, 7).note
    swapped = Note(honest.text.replace("\n7\n", "\n8\n"), honest.signatures)
    assert decided(AddCheckpoint(0, (), swapped), Seen()).status == 403


def test_the_same_request_again_is_told_the_size_and_then_cosigned():
    first = decided(asked(0, 7), Seen())
    assert decided(asked(0, 7), first.seen).status == 409
    assert decided(asked(7, 7), first.seen).status == 200


def test_the_example_of_the_specification_is_read_and_written():
    request = AddCheckpoint.parse(EXAMPLE.encode())
    assert (request.old_size, len(request.proof), request.origin) == (20_852_014, 4, "example.com/behind-the-sofa")
    assert str(request) == EXAMPLE


BODY = str(asked(3, 7))


@pytest.mark.parametrize(
    "body",
    [
        "", "old 0\n", BODY.replace("old 3", "old 03"), BODY.replace("old 3", "old  3"), BODY.replace("old 3", "new 3"),
        BODY.replace("old 3", "old -3"), BODY.replace("old 3", "old"), BODY.replace("\n\n", "\n", 1), BODY[:-1],
        BODY.replace("\n\n", "\nAAAA\n\n", 1), BODY.replace("\n\n", " \n\n", 1),
        "old 0\n" + "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n" * 64 + BODY[BODY.index("\n\n") + 1 :],
        BODY.replace("\n7\n", "\n07\n"),
    ],
)  # fmt: skip
def test_what_is_no_request_is_malformed(body):
    with pytest.raises(Malformed):
        AddCheckpoint.parse(body.encode())


def test_an_answer_of_strangers_adds_nothing_and_a_wrong_one_is_refused():
    note = asked(0, 7).note
    answer = decided(asked(0, 7), Seen()).body
    stranger = Note.parse(f"x\n\n{answer}").signatures[0]
    with_stranger = answer + str(type(stranger)("stranger.example", stranger.key_id, stranger.blob))
    assert len(accept_cosignatures(note, with_stranger, WATCHED).signatures) == len(note.signatures) + 1
    with pytest.raises(SignatureIsWrong):
        accept_cosignatures(asked(0, 8).note, answer, WATCHED)
    with pytest.raises(Malformed):
        accept_cosignatures(note, "sorry\n", WATCHED)
    of_more = sign(f"{note.text}\nmore\n", WITNESS, at=NOW)
    with pytest.raises(Malformed):
        accept_cosignatures(note, f"more\n\n{of_more}", WATCHED)


def test_the_log_alone_needs_no_witness():
    assert open_checkpoint(str(asked(0, 7).note), TRUST).checkpoint.size == 7
