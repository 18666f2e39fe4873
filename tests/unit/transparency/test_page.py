"""What docs/transparency.md shows an outsider is true, to the byte."""

import json
import re
from pathlib import Path

import pytest

from tests.unit.transparency.building import LOG, WITNESS, a_checkpoint, a_log, as_leaves, frontier_of, nodes_of
from transparency.__main__ import main
from transparency.checkpoints import Trust, open_checkpoint
from transparency.commitments import canonical
from transparency.leaves import check
from transparency.merkle import inclusion_proof, leaf_hash
from transparency.signatures import VerifierKey

PAGE = (Path(__file__).parents[3] / "docs/transparency.md").read_text(encoding="utf-8")
LEAVES = as_leaves(a_log(1))


def block(beginning: str) -> str:
    found = re.search(r"```[a-z]*\n(" + re.escape(beginning) + r".*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_its_checkpoint_verifies_by_its_keys():
    log, witness = map(VerifierKey.parse, block("akashi.example/log+").split())
    signed = open_checkpoint(block("akashi.example/log\n3\n"), Trust(log.name, (log,), (witness,), 1))
    assert (log, witness) == (LOG.verifier, WITNESS.verifier)
    assert str(signed.note) == str(a_checkpoint(frontier_of(LEAVES)))


def test_its_document_is_a_leaf():
    document = json.loads(block('{"certificate_id"'))
    assert document == LEAVES[1].document
    assert canonical(document).decode() == block('{"certificate_id"').replace("\n ", "").rstrip()


def test_its_proof_is_of_that_leaf():
    shown = json.loads(block('{"format": "akashi-proof/1"'))
    inclusion = inclusion_proof(1, 3, nodes_of([leaf_hash(leaf.commitment) for leaf in LEAVES]))
    assert [one.hex()[:8] + "…" for one in inclusion] == shown["inclusion"]
    assert (LEAVES[1].salt or b"").hex()[:8] + "…" == shown["salt"]


@pytest.mark.parametrize("document", a_log(1))
def test_it_names_every_field(document):
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{document['type']}` |"))
    assert set(re.findall(r"`(\w+)`", row)) == (set(document) - {"type"}) | {document["type"]}
    assert check(document)


def test_it_names_every_option(capsys):
    with pytest.raises(SystemExit):
        main(["verify", "--help"])
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert options <= set(re.findall(r"--[a-z-]+", PAGE))
