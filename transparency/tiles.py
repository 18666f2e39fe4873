"""Tiles: the tree and its entries as files that never change (C2SP tlog-tiles).

A tile of level L holds up to 256 roots of 256^L leaves each; a bundle holds the entries of a tile of level 0.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final

from transparency.errors import DoesNotVerify, Malformed
from transparency.merkle import TILE_HEIGHT, consistency_proof, inclusion_proof, node_hash
from transparency.strict import HASH_BYTES, LARGEST, decimal

WIDTH: Final = 1 << TILE_HEIGHT
#: Levels that a path can name.
LEVELS: Final = 64
#: An entry's length is a uint16.
LONGEST_ENTRY: Final = 0xFFFF

_PATH: Final = re.compile(r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([0-9]{1,3}))?")


@dataclass(frozen=True)
class Tile:
    """Which tile; with a width below 256, one of the right edge as it was at some size."""

    #: None: a bundle of entries.
    level: int | None
    index: int
    width: int = WIDTH

    def __post_init__(self) -> None:
        if not (self.level is None or 0 <= self.level < LEVELS):
            raise Malformed(f"level {self.level} is not between 0 and {LEVELS - 1}")
        if not 0 <= self.index <= LARGEST or not 1 <= self.width <= WIDTH:
            raise Malformed(f"no tile has index {self.index} and width {self.width}")

    @property
    def path(self) -> str:
        """`tile/<L>/<N>[.p/<W>]`; 1234067 is written `x001/x234/067`."""
        rest, last = divmod(self.index, 1000)
        number = f"{last:03d}"
        while rest:
            rest, part = divmod(rest, 1000)
            number = f"x{part:03d}/{number}"
        level = "entries" if self.level is None else self.level
        return f"tile/{level}/{number}" + (f".p/{self.width}" if self.width < WIDTH else "")

    @property
    def first(self) -> int:
        """Index of its first hash, counted over the whole level; of its first entry for a bundle."""
        return self.index * WIDTH

    @classmethod
    def parse(cls, path: str) -> "Tile":
        """The tile of a path in its one form; `Malformed` for everything else."""
        found = _PATH.fullmatch(path)
        if found is None:
            raise Malformed(f"{path[:80]!r} is not the path of a tile")
        level, number, width = found.groups()
        tile = cls(
            None if level == "entries" else decimal(level),
            int(number.replace("x", "").replace("/", "")),
            WIDTH if width is None else decimal(width),
        )
        if tile.path != path:
            raise Malformed(f"{path[:80]!r} is written {tile.path!r}")
        return tile


def tile_at(level: int | None, index: int, size: int) -> Tile:
    """The tile of this place in a tree of `size` leaves, as wide as it then is."""
    width = min((size >> TILE_HEIGHT * (level or 0)) - index * WIDTH, WIDTH)
    if width < 1:
        raise DoesNotVerify(f"a tree of {size} leaves has no tile {index} of level {level}")
    return Tile(level, index, width)


def tiles_of(size: int) -> Iterator[Tile]:
    """Every tile of hashes of a tree, level by level. Bundles are those of level 0."""
    return tiles_between(0, size)


def tiles_between(old: int, new: int) -> Iterator[Tile]:
    """The tiles that a tree of `new` leaves has and one of `old` had not, or not so wide."""
    level = 0
    while hashes := new >> TILE_HEIGHT * level:
        before = old >> TILE_HEIGHT * level
        if hashes > before:
            for index in range(before // WIDTH, -(-hashes // WIDTH)):
                yield tile_at(level, index, new)
        level += 1


@lru_cache(maxsize=4096)
def tile_of_node(height: int, index: int, size: int) -> Tile:
    """The tile from which a complete subtree's hash can be had."""
    level, above = divmod(height, TILE_HEIGHT)
    return tile_at(level, (index << above) // WIDTH, size)


def tiles_for_inclusion(index: int, size: int) -> list[Tile]:
    """What to fetch, at once, before `inclusion_proof` can read it from a `TileReader`."""
    return _tiles_read(partial(inclusion_proof, index, size), size)


def tiles_for_consistency(old: int, new: int) -> list[Tile]:
    """What to fetch, at once, before `consistency_proof` can read it from a `TileReader`."""
    return _tiles_read(partial(consistency_proof, old, new), new)


def _tiles_read(prove: Callable[[Callable[[int, int], bytes]], object], size: int) -> list[Tile]:
    """Which nodes a proof reads does not depend on their hashes, so it is asked with empty ones."""
    read: dict[Tile, None] = {}

    def note(height: int, index: int) -> bytes:
        read[tile_of_node(height, index, size)] = None
        return b""

    prove(note)
    return list(read)


class TileReader:
    """Gives `node(height, index)` of a tree of `size` leaves from its tiles, each fetched once.

    Tiles are believed here. A proof made of them is worth what `verify_inclusion` or `verify_consistency` says of it.
    """

    def __init__(self, fetch: Callable[[Tile], bytes], size: int) -> None:
        self._fetch = fetch
        self._size = size
        self._read: dict[Tile, bytes] = {}

    def node(self, height: int, index: int) -> bytes:
        if (index + 1) << height > self._size:
            raise DoesNotVerify(f"a tree of {self._size} leaves has no complete subtree {index} of height {height}")
        tile = tile_of_node(height, index, self._size)
        hashes = self._hashes(tile)
        above = height % TILE_HEIGHT
        first = (index << above) - tile.first
        return _root(hashes[first * HASH_BYTES : (first + (1 << above)) * HASH_BYTES])

    def _hashes(self, tile: Tile) -> bytes:
        if tile not in self._read:
            hashes = self._fetch(tile)
            # A log may have thrown away a partial tile and give the full one in its place.
            if len(hashes) not in {tile.width * HASH_BYTES, WIDTH * HASH_BYTES}:
                raise Malformed(f"{tile.path} has {len(hashes)} bytes, not {tile.width * HASH_BYTES}")
            self._read[tile] = hashes
        return self._read[tile]


@lru_cache(maxsize=4096)
def _root(hashes: bytes) -> bytes:
    """Of a complete subtree, from its nodes of one height. Proofs from one tile share most of what they need."""
    if len(hashes) == HASH_BYTES:
        return hashes
    half = len(hashes) // 2
    return node_hash(_root(hashes[:half]), _root(hashes[half:]))


def format_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries one after the other, each after its length as a big-endian uint16."""
    if not 1 <= len(entries) <= WIDTH or any(len(entry) > LONGEST_ENTRY for entry in entries):
        raise Malformed(f"a bundle holds 1 to {WIDTH} entries of at most {LONGEST_ENTRY} bytes")
    return b"".join(len(entry).to_bytes(2) + entry for entry in entries)


def parse_bundle(bundle: bytes, width: int = WIDTH) -> list[bytes]:
    """The entries of a bundle of exactly `width`."""
    entries: list[bytes] = []
    at = 0
    while at < len(bundle):
        end = at + 2 + int.from_bytes(bundle[at : at + 2])
        if end > len(bundle) or at + 2 > len(bundle):
            raise Malformed(f"entry {len(entries)} of the bundle is cut off")
        entries.append(bundle[at + 2 : end])
        at = end
    if len(entries) != width:
        raise Malformed(f"the bundle has {len(entries)} entries, not {width}")
    return entries
