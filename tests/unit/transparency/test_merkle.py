"""The tree is RFC 6962's: by its vectors, by its definition, and in what it refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.transparency.building import nodes_of, root_of, some_leaves
from transparency.errors import DoesNotVerify
from transparency.merkle import (
    EMPTY_ROOT,
    Frontier,
    ProofDoesNotHold,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)

#: The eight leaves of certificate-transparency's tests, and what their trees, paths and proofs are.
ENTRIES = [
    bytes.fromhex(entry)
    for entry in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): INCLUSION[0, 8],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
    (6, 7): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}
HASHES = [leaf_hash(entry) for entry in ENTRIES]
LOG = some_leaves(600)


def test_the_empty_tree_has_the_hash_of_nothing():
    assert Frontier().root() == EMPTY_ROOT
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_the_reference(size):
    frontier, _ = Frontier().extend(HASHES[:size])
    assert frontier.root().hex() == ROOTS[size - 1]


@pytest.mark.parametrize("place", INCLUSION)
def test_inclusion_proofs_are_those_of_the_reference(place):
    index, size = place
    proof = inclusion_proof(index, size, nodes_of(HASHES))
    assert [one.hex() for one in proof] == INCLUSION[place]
    verify_inclusion(HASHES[index], index, size, proof, bytes.fromhex(ROOTS[size - 1]))


@pytest.mark.parametrize("sizes", CONSISTENCY)
def test_consistency_proofs_are_those_of_the_reference(sizes):
    old, new = sizes
    proof = consistency_proof(old, new, nodes_of(HASHES))
    assert [one.hex() for one in proof] == CONSISTENCY[sizes]
    verify_consistency(old, bytes.fromhex(ROOTS[old - 1]), new, bytes.fromhex(ROOTS[new - 1]), proof)


@given(st.lists(st.integers(0, 70), max_size=12))
def test_the_root_is_the_definition_s_however_appends_are_split(parts):
    frontier, gained, done = Frontier(), [], 0
    for part in parts:
        frontier, more = frontier.extend(LOG[done : min(done + part, 600)])
        gained += more
        done = min(done + part, 600)
    assert frontier.size == done
    assert frontier.root() == root_of(LOG[:done])
    at_once, hashes = Frontier().extend(LOG[:done])
    assert at_once == frontier
    assert sorted(gained) == sorted(hashes)


@pytest.mark.parametrize("before", [0, 1, 255, 256, 300, 511])
def test_tiles_gain_the_roots_of_256_leaves_each_once(before):
    frontier, _ = Frontier().extend(LOG[:before])
    _, gained = frontier.extend(LOG[before:])
    assert [(index, one) for level, index, one in gained if level == 0] == list(enumerate(LOG))[before:]
    expected = [(1, n, root_of(LOG[n * 256 : (n + 1) * 256])) for n in range(before // 256, 2)]
    assert [one for one in gained if one[0] == 1] == expected
    assert {level for level, _, _ in gained} == {0, 1}


def test_a_third_level_of_tiles_begins_with_65536_leaves():
    frontier, below = Frontier().extend([bytes(32)] * 65_535)
    _, last = frontier.extend([bytes(32)])
    assert {level for level, _, _ in below} == {0, 1}
    root = bytes(32)
    for _ in range(16):
        root = node_hash(root, root)
    assert last[-1] == (2, 0, root)


def test_a_frontier_of_another_shape_is_refused():
    with pytest.raises(DoesNotVerify):
        Frontier(3, (bytes(32),))
    with pytest.raises(DoesNotVerify):
        Frontier(1, (bytes(31),))


@given(st.data())
def test_every_inclusion_proof_verifies_and_no_changed_one_does(data):
    size = data.draw(st.integers(1, 600))
    index = data.draw(st.integers(0, size - 1))
    root = root_of(LOG[:size])
    proof = inclusion_proof(index, size, nodes_of(LOG[:size]))
    verify_inclusion(LOG[index], index, size, proof, root)

    other = data.draw(st.integers(0, 700).filter(lambda n: n != index))
    with pytest.raises(ProofDoesNotHold):
        verify_inclusion(LOG[index], other, size, proof, root)
    flipped = data.draw(flips([LOG[index], root, *proof]))
    with pytest.raises(ProofDoesNotHold):
        verify_inclusion(flipped[0], index, size, flipped[2:], flipped[1])
    for wrong in ([*proof, root], [root, *proof], proof[:-1] if proof else [b""], proof[1:] if proof else [root]):
        with pytest.raises(ProofDoesNotHold):
            verify_inclusion(LOG[index], index, size, wrong, root)
    with pytest.raises(ProofDoesNotHold):
        verify_inclusion(LOG[index], index, size * 2, proof, root)


def flips(hashes: list[bytes]):
    """One bit of one hash the other way round."""

    def flip(place: tuple[int, int]) -> list[bytes]:
        which, bit = place
        changed = list(hashes)
        changed[which] = (int.from_bytes(hashes[which]) ^ (1 << bit)).to_bytes(32)
        return changed

    return st.tuples(st.integers(0, len(hashes) - 1), st.integers(0, 255)).map(flip)


@pytest.mark.parametrize("new", range(65))
def test_every_two_sizes_up_to_64_are_proved_consistent(new):
    roots = [root_of(LOG[:size]) for size in range(new + 1)]
    for old in range(new + 1):
        proof = consistency_proof(old, new, nodes_of(LOG[:new]))
        verify_consistency(old, roots[old], new, roots[new], proof)
        if proof:
            for wrong in (proof[:-1], proof[1:], [*proof, proof[0]], [proof[0], *proof], [], [*proof[::-1], bytes(32)]):
                with pytest.raises(ProofDoesNotHold):
                    verify_consistency(old, roots[old], new, roots[new], wrong)
            for other in (old - 1, old + 1, old ^ 2):
                if other != old:
                    with pytest.raises(ProofDoesNotHold):
                        verify_consistency(other, roots[old], new, roots[new], proof)


@given(st.data())
def test_no_changed_consistency_proof_verifies(data):
    new = data.draw(st.integers(2, 600))
    old = data.draw(st.integers(1, new - 1))
    proof = consistency_proof(old, new, nodes_of(LOG[:new]))
    flipped = data.draw(flips([root_of(LOG[:old]), root_of(LOG[:new]), *proof]))
    with pytest.raises(ProofDoesNotHold):
        verify_consistency(old, flipped[0], new, flipped[1], flipped[2:])


SOME, OTHER = b"\x01" * 32, b"\x02" * 32


@pytest.mark.parametrize(
    ("old", "old_root", "new", "new_root", "proof", "message"),
    [
        (0, EMPTY_ROOT, 0, OTHER, [], "two roots for 0 leaves"),
        (0, SOME, 1, OTHER, [], "the root of an empty tree"),
        (1, SOME, 1, OTHER, [], "two roots for 1 leaves"),
        (1, SOME, 0, OTHER, [], "not the beginning"),
        (2, SOME, 1, OTHER, [], "not the beginning"),
        (1, SOME, 2, OTHER, [], "too short"),
        (3, SOME, 4, OTHER, [], "is empty"),
        (0, EMPTY_ROOT, 1, SOME, [EMPTY_ROOT], "must be empty"),
        (1, SOME, 1, SOME, [EMPTY_ROOT], "must be empty"),
        (1, SOME, 2, OTHER, [b"short"], "hash 2 has 5 bytes"),
    ],
)
def test_what_is_wrong_with_a_consistency_proof_is_said(old, old_root, new, new_root, proof, message):  # noqa: PLR0917 - a table
    with pytest.raises(ProofDoesNotHold, match=message):
        verify_consistency(old, old_root, new, new_root, proof)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 3), (2, 1)])
def test_nothing_outside_the_tree_is_proved(index, size):
    with pytest.raises(ProofDoesNotHold):
        inclusion_proof(index, size, nodes_of(LOG))
    with pytest.raises(ProofDoesNotHold):
        verify_inclusion(SOME, index, size, [], SOME)


def test_nothing_is_proved_from_a_larger_tree():
    with pytest.raises(ProofDoesNotHold):
        consistency_proof(3, 2, nodes_of(LOG))
