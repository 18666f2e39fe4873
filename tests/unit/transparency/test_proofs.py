"""A purchaser's proof stands alone, and stands for nothing else."""

import copy
import json
from typing import Any

import pytest

from tests.unit.transparency.building import (
    TRUST,
    WATCHED,
    a_checkpoint,
    a_log,
    as_leaves,
    frontier_of,
    nodes_of,
)
from transparency.errors import DoesNotVerify
from transparency.merkle import inclusion_proof, leaf_hash
from transparency.proofs import make_proof, verify_proof

LOG = as_leaves(a_log(5))
HASHES = [leaf_hash(leaf.commitment) for leaf in LOG]
CHECKPOINT = str(a_checkpoint(frontier_of(LOG)))


def a_proof(index: int = 6):
    leaf = LOG[index]
    inclusion = inclusion_proof(index, len(LOG), nodes_of(HASHES))
    assert leaf.document is not None
    assert leaf.salt is not None
    return make_proof(leaf.document, leaf.salt, index, inclusion, CHECKPOINT)


@pytest.mark.parametrize("index", range(15))
def test_every_leaf_has_a_proof_that_travels_as_json(index):
    proven = verify_proof(json.loads(json.dumps(a_proof(index))), WATCHED)
    assert proven.document == LOG[index].document
    assert (proven.index, proven.signed.checkpoint.size) == (index, 15)


def test_any_change_of_any_field_is_refused():
    changes: dict[str, list[Any]] = {
        "format": ["akashi-proof/2", 1],
        "index": [5, 7, 15, -1, "6", True, None],
        "salt": ["00" * 32, "00" * 31, LOG[6].salt.hex().upper() if LOG[6].salt else "", None],
        "document": [LOG[5].document, {}, None, [], {**a_proof()["document"], "version": 2}],
        "inclusion": [[], a_proof()["inclusion"][:-1], [*a_proof()["inclusion"], "00" * 32], "x", [1], None],
        "checkpoint": ["", CHECKPOINT.replace("\n15\n", "\n14\n"), CHECKPOINT.replace("\n15\n", "\n16\n"), None],
        "more": [1],
    }
    for name, values in changes.items():
        for value in values:
            with pytest.raises(DoesNotVerify):
                verify_proof(a_proof() | {name: value}, TRUST)
    for name in a_proof():
        with pytest.raises(DoesNotVerify):
            verify_proof({key: value for key, value in a_proof().items() if key != name}, TRUST)


def test_every_changed_digit_of_a_hash_is_refused():
    proof = a_proof()
    for place, one in enumerate(proof["inclusion"]):
        for digit in range(0, 64, 7):
            changed = copy.deepcopy(proof)
            changed["inclusion"][place] = one[:digit] + ("0" if one[digit] != "0" else "1") + one[digit + 1 :]
            with pytest.raises(DoesNotVerify):
                verify_proof(changed, TRUST)


@pytest.mark.parametrize("proof", [None, [], "x", {}, {"format": "akashi-export/1"}])
def test_what_is_no_proof_is_refused(proof):
    with pytest.raises(DoesNotVerify):
        verify_proof(proof, TRUST)
