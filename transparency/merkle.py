"""The Merkle tree of RFC 6962 §2.1 with SHA-256: grown at its right edge, proved, verified.

A *node* is the root of a complete subtree of 2^height leaves; `index` counts the nodes of its height from the left.
Verifying follows RFC 9162 §2.1.3.2 and §2.1.4.2, and shares no code with proving.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from transparency.errors import DoesNotVerify
from transparency.strict import HASH_BYTES

#: MTH({}), RFC 6962 §2.1.
EMPTY_ROOT: Final = hashlib.sha256().digest()
#: Heights between two levels of tiles (C2SP tlog-tiles).
TILE_HEIGHT: Final = 8

#: Gives the hash of a complete subtree by height and index.
Nodes = Callable[[int, int], bytes]


class ProofDoesNotHold(DoesNotVerify):
    """A proof does not lead from what it starts with to the root."""


#: One hash of a tile: level, index over the whole level, root of 256^level leaves.
TileHash = tuple[int, int, bytes]


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True)
class Frontier:
    """The right edge of a tree: all that is needed to append, and to know the root."""

    size: int = 0
    #: Roots of the complete subtrees that make up the tree, the largest first: one for each bit of `size`.
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.hashes) != self.size.bit_count() or any(len(h) != HASH_BYTES for h in self.hashes):
            raise DoesNotVerify(f"a tree of {self.size} leaves is not made of these {len(self.hashes)} subtrees")

    def extend(self, leaf_hashes: Sequence[bytes]) -> tuple["Frontier", list[TileHash]]:
        """Append leaves; return the new frontier and the hashes that tiles gain by it, leaves included.

        Costs O(leaves + log size) and needs no older leaf. Splitting the same leaves otherwise changes nothing.
        """
        row, old = list(leaf_hashes), list(self.hashes)
        kept: list[bytes] = []
        gained: list[TileHash] = []
        height = 0
        while row or self.size >> height:
            first = self.size >> height
            if height % TILE_HEIGHT == 0:
                gained += [(height // TILE_HEIGHT, first + i, h) for i, h in enumerate(row)]
            if first & 1:
                row.insert(0, old.pop())
            if len(row) & 1:
                kept.append(row.pop())
            row = [node_hash(left, right) for left, right in zip(row[::2], row[1::2], strict=True)]
            height += 1
        return Frontier(self.size + len(leaf_hashes), tuple(reversed(kept))), gained

    def root(self) -> bytes:
        """MTH(D[size]), RFC 6962 §2.1."""
        if not self.hashes:
            return EMPTY_ROOT
        root = self.hashes[-1]
        for left in self.hashes[-2::-1]:
            root = node_hash(left, root)
        return root


def inclusion_proof(index: int, size: int, node: Nodes) -> list[bytes]:
    """PATH(index, D[size]), RFC 6962 §2.1.1: from the leaf's sibling to the child of the root."""
    if not 0 <= index < size:
        raise ProofDoesNotHold(f"index {index} is not in a tree of {size} leaves")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_subtree(middle, end, node))
            end = middle
        else:
            path.append(_subtree(start, middle, node))
            start = middle
    return path[::-1]


def consistency_proof(old: int, new: int, node: Nodes) -> list[bytes]:
    """PROOF(old, D[new]), RFC 6962 §2.1.2. Nothing is to be proved from an empty tree, nor from a tree to itself."""
    if not 0 <= old <= new:
        raise ProofDoesNotHold(f"a tree of {old} leaves is not the beginning of one of {new}")
    path: list[bytes] = []
    start, end, known = 0, new, True
    while 0 < old < end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_subtree(middle, end, node))
            end = middle
        else:
            path.append(_subtree(start, middle, node))
            start, known = middle, False
    if not known:
        path.append(_subtree(start, end, node))
    return path[::-1]


def _split(width: int) -> int:
    """The largest power of two smaller than `width`."""
    return 1 << ((width - 1).bit_length() - 1)


def _subtree(start: int, end: int, node: Nodes) -> bytes:
    """MTH(D[start:end]), put together from complete subtrees."""
    width = end - start
    if width & (width - 1) == 0:
        height = width.bit_length() - 1
        return node(height, start >> height)
    middle = start + _split(width)
    return node_hash(_subtree(start, middle, node), _subtree(middle, end, node))


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """RFC 9162 §2.1.3.2. Raises `ProofDoesNotHold`.

    A root alone does not say how many leaves are under it: `size` and `root` must come from one signed checkpoint.
    """
    _check_lengths(leaf, root, *proof)
    if not 0 <= index < size:
        raise ProofDoesNotHold(f"index {index} is not in a tree of {size} leaves")
    computed = leaf
    for sibling, on_the_left in _climb(index, size - 1, proof, "inclusion"):
        computed = node_hash(sibling, computed) if on_the_left else node_hash(computed, sibling)
    if computed != root:
        raise ProofDoesNotHold(f"the inclusion proof leads to the root {computed.hex()}, not {root.hex()}")


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """RFC 9162 §2.1.4.2: the tree of `new` leaves begins with that of `old`. Raises `ProofDoesNotHold`."""
    _check_lengths(old_root, new_root, *proof)
    if not 0 <= old <= new:
        raise ProofDoesNotHold(f"a tree of {old} leaves is not the beginning of one of {new}")
    if old in {0, new}:
        _check_trivial(old, old_root, new_root if old == new else None, proof)
        return
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        raise ProofDoesNotHold("the consistency proof is empty")
    complete = (old & -old).bit_length() - 1
    before = after = path[0]
    for sibling, on_the_left in _climb((old - 1) >> complete, (new - 1) >> complete, path[1:], "consistency"):
        if on_the_left:
            before = node_hash(sibling, before)
        after = node_hash(sibling, after) if on_the_left else node_hash(after, sibling)
    if before != old_root:
        raise ProofDoesNotHold(f"the consistency proof does not begin with the root of {old} leaves")
    if after != new_root:
        raise ProofDoesNotHold(f"the consistency proof does not lead to the root of {new} leaves")


def _climb(at: int, last: int, proof: Sequence[bytes], what: str) -> Iterator[tuple[bytes, bool]]:
    """Each sibling from node `at` upwards and whether it is on the left; `last` is the last node of the same height."""
    for sibling in proof:
        if last == 0:
            raise ProofDoesNotHold(f"the {what} proof is too long")
        on_the_left = bool(at & 1) or at == last
        yield sibling, on_the_left
        while on_the_left and at and not at & 1:
            at, last = at >> 1, last >> 1
        at, last = at >> 1, last >> 1
    if last:
        raise ProofDoesNotHold(f"the {what} proof is too short")


def _check_trivial(old: int, old_root: bytes, same_root: bytes | None, proof: Sequence[bytes]) -> None:
    if proof:
        raise ProofDoesNotHold("the consistency proof must be empty")
    if old == 0 and old_root != EMPTY_ROOT:
        raise ProofDoesNotHold("the root of an empty tree is SHA-256 of nothing")
    if same_root is not None and same_root != old_root:
        raise ProofDoesNotHold(f"two roots for {old} leaves")


def _check_lengths(*hashes: bytes) -> None:
    for number, one in enumerate(hashes):
        if len(one) != HASH_BYTES:
            raise ProofDoesNotHold(f"hash {number} has {len(one)} bytes, not {HASH_BYTES}")
