"""Paths and contents of tiles are those of C2SP tlog-tiles, and proofs can be made from tiles alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.transparency.building import nodes_of, root_of, some_leaves
from transparency.errors import DoesNotVerify, Malformed
from transparency.merkle import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    verify_consistency,
    verify_inclusion,
)
from transparency.tiles import (
    Tile,
    TileReader,
    format_bundle,
    parse_bundle,
    tile_at,
    tiles_between,
    tiles_for_consistency,
    tiles_for_inclusion,
    tiles_of,
)

LOG = some_leaves(700)


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 273, 112), "tile/0/273.p/112"),
        (Tile(1, 1_234_067), "tile/1/x001/x234/067"),
        (Tile(63, 999), "tile/63/999"),
        (Tile(None, 1000, 1), "tile/entries/x001/000.p/1"),
    ],
)
def test_a_tile_has_one_path_and_a_path_one_tile(tile, path):
    assert tile.path == path
    assert Tile.parse(path) == tile


@given(st.builds(Tile, st.none() | st.integers(0, 63), st.integers(0, 2**63 - 1), st.integers(1, 256)))
def test_every_path_is_read_as_it_was_written(tile):
    assert Tile.parse(tile.path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "", "tile/0/0", "tile/00/000", "tile/64/000", "tile/-1/000", "tile/0/0000", "tile/0/x000/001", "tile/0/001/002",
        "tile/0/x001/x002", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p/", "/tile/0/000",
        "tile/0/000/", "tile/0/000\n", "tile/0/０００", "tile/data/000", "tile/0/../000", "tile/0/000.p/1000",
        "tile/0/x009/x223/x372/x036/x854/x775/808",
    ],
)  # fmt: skip
def test_a_path_written_otherwise_is_refused(path):
    with pytest.raises(Malformed):
        Tile.parse(path)


def test_a_tree_of_70000_leaves_has_the_tiles_of_the_specification():
    tiles = list(tiles_of(70_000))
    full = [sum(tile.level == level and tile.width == 256 for tile in tiles) for level in range(3)]
    assert full == [273, 1, 0]
    assert [tile.path for tile in tiles if tile.width < 256] == [
        "tile/0/273.p/112",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    ]


def test_a_tree_of_256_leaves_has_a_full_tile_and_one_hash_above():
    assert [tile.path for tile in tiles_of(256)] == ["tile/0/000", "tile/1/000.p/1"]
    assert list(tiles_of(0)) == []


@given(st.integers(0, 200_000), st.integers(0, 2_000))
def test_growing_changes_only_the_tiles_between(old, more):
    before, after = set(tiles_of(old)), set(tiles_of(old + more))
    assert set(tiles_between(old, old + more)) == after - before


def test_no_tile_is_beyond_the_edge():
    with pytest.raises(DoesNotVerify):
        tile_at(0, 1, 256)
    with pytest.raises(DoesNotVerify):
        TileReader(tiles_in_memory(), 300).node(2, 75)


def tiles_in_memory(size: int = 700):
    """What a log serves: made of the hashes that appending gave, and nothing else."""
    levels: dict[int, list[bytes]] = {}
    for level, index, one in Frontier().extend(LOG[:size])[1]:
        levels.setdefault(level, []).append(one)
        assert len(levels[level]) == index + 1
    return lambda tile: b"".join(levels[tile.level][tile.first : tile.first + tile.width])


@given(st.data())
def test_proofs_made_from_tiles_are_those_made_from_leaves(data):
    size = data.draw(st.integers(1, 700))
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    fetched: list[Tile] = []
    serve = tiles_in_memory(size)

    def fetch(tile: Tile):
        fetched.append(tile)
        return serve(tile)

    reader = TileReader(fetch, size)

    inclusion = inclusion_proof(index, size, reader.node)
    assert set(fetched) == set(tiles_for_inclusion(index, size))
    consistency = consistency_proof(old, size, reader.node)

    assert inclusion == inclusion_proof(index, size, nodes_of(LOG[:size]))
    verify_inclusion(LOG[index], index, size, inclusion, root_of(LOG[:size]))
    verify_consistency(old, root_of(LOG[:old]), size, root_of(LOG[:size]), consistency)
    assert set(fetched) == set(tiles_for_inclusion(index, size)) | set(tiles_for_consistency(old, size))
    assert len(fetched) == len(set(fetched))
    assert set(fetched) <= set(tiles_of(size))


def test_a_full_tile_may_stand_for_a_partial_one():
    serve = tiles_in_memory()
    full = TileReader(lambda tile: serve(Tile(tile.level, tile.index)), 200)
    assert inclusion_proof(7, 200, full.node) == inclusion_proof(7, 200, nodes_of(LOG[:200]))


def test_a_tile_of_another_length_is_refused():
    with pytest.raises(Malformed, match=r"tile/0/000\.p/200 has 32 bytes"):
        TileReader(lambda _: bytes(32), 200).node(0, 0)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_a_bundle_is_read_as_it_was_written(entries):
    assert parse_bundle(format_bundle(entries), len(entries)) == entries


def test_a_bundle_is_lengths_and_entries():
    assert format_bundle([b"ab", b""]).hex() == "0002" + b"ab".hex() + "0000"


@pytest.mark.parametrize("bundle", [b"", b"\0", b"\0\2a", b"\0\1a\0", b"\0\1a\0\1b"])
def test_a_damaged_bundle_is_refused(bundle):
    with pytest.raises(Malformed):
        parse_bundle(bundle, 1)


def test_what_does_not_fit_a_bundle_is_refused():
    for entries in ([], [b""] * 257, [bytes(65_536)]):
        with pytest.raises(Malformed):
            format_bundle(entries)
