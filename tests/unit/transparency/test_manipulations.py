"""A hundred seeded ways to change an export, by hands careless and careful: each is found, with its place."""

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.transparency.building import (
    LOG,
    ORIGIN,
    TRUST,
    a_checkpoint,
    a_log,
    as_leaves,
    at,
    frontier_of,
    listed_anew,
    write_export,
)
from transparency.errors import Finding
from transparency.export import File, Manifest, Previous
from transparency.signatures import SignerKey
from transparency.verify import verify

DOCUMENTS = a_log(12)
LEAVES = as_leaves(DOCUMENTS)
FORGER = SignerKey(ORIGIN, bytes(32))


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> tuple[Path, Manifest]:
    previous = Previous(str(a_checkpoint(frontier_of(LEAVES[:17]))), None, None)
    folder = tmp_path_factory.mktemp("sound") / "export"
    manifest = write_export(folder, LEAVES, previous=previous)
    assert verify([folder], TRUST).leaves == 36
    return folder, manifest


@pytest.fixture
def export(sound, tmp_path) -> tuple[Path, Manifest]:
    """A copy, to be spoilt."""
    folder, manifest = sound
    return shutil.copytree(folder, tmp_path / "export"), manifest


def found(folder: Path) -> str:
    with pytest.raises(Finding) as caught:
        verify([folder], TRUST)
    return str(caught.value)


def a_leaf_file(folder: Path, dice: random.Random) -> Path:
    return dice.choice(sorted((folder / "log").iterdir()))


def put_manifest(folder: Path, manifest: Manifest) -> None:
    """Without the log's key: the note stays what it was."""
    (folder / "manifest.json").write_bytes(manifest.to_bytes())


@pytest.mark.parametrize("seed", range(30))
def test_a_flipped_bit_in_any_file(export, seed):
    folder, _ = export
    dice = random.Random(seed)
    path = dice.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
    raw = bytearray(path.read_bytes())
    raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
    path.write_bytes(raw)
    sentence = found(folder)
    name = path.relative_to(folder).as_posix()
    assert name in sentence or (name == "manifest.json" and sentence.startswith(("log/", "events/", "manifest.note")))


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("what", ["removed", "repeated", "swapped"])
def test_a_line_moved_and_the_manifest_made_to_fit(export, seed, what):
    folder, manifest = export
    dice = random.Random(seed)
    path = a_leaf_file(folder, dice)
    lines = path.read_bytes().splitlines(keepends=True)
    place = dice.randrange(len(lines) - 1)
    if what == "removed":
        del lines[place]
    elif what == "repeated":
        lines.insert(place, lines[place])
    else:
        lines[place], lines[place + 1] = lines[place + 1], lines[place]
    path.write_bytes(b"".join(lines))
    put_manifest(folder, listed_anew(folder, manifest))
    first = int(path.stem.split("-")[1])
    line = place + (2 if what == "repeated" else 1)
    assert found(folder).startswith(f"log/{path.name}, line {line}, index {first + line - 1}, field index: ")


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("fields", [("salt",), ("commitment",), ("document",), ("salt", "document")])
def test_a_leaf_rewritten_and_the_manifest_made_to_fit(export, seed, fields):
    folder, manifest = export
    dice = random.Random(seed)
    path = a_leaf_file(folder, dice)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    place = dice.randrange(len(lines))
    leaf = lines[place]
    for field in fields:
        if field == "document":
            moment = next(name for name in leaf["document"] if name.endswith("_at"))
            leaf["document"][moment] = at(dice.randrange(10_000_000))
        else:
            leaf[field] = dice.randbytes(32).hex()
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    put_manifest(folder, listed_anew(folder, manifest))
    assert found(folder).startswith(f"log/{path.name}, line {place + 1}, index {leaf['index']}, field commitment: ")


@pytest.mark.parametrize("seed", range(5))
def test_a_leaf_replaced_with_its_commitment_and_the_manifest_made_to_fit(export, seed):
    """What is consistent in itself is found by the first signed root over it."""
    folder, manifest = export
    dice = random.Random(seed)
    path = a_leaf_file(folder, dice)
    lines = path.read_bytes().splitlines(keepends=True)
    place = dice.randrange(len(lines))
    index = json.loads(lines[place])["index"]
    other = replace(as_leaves([DOCUMENTS[index]], first=index + 1000)[0], index=index)
    lines[place] = other.to_bytes()
    path.write_bytes(b"".join(lines))
    put_manifest(folder, listed_anew(folder, manifest))
    field, size = ("previous.checkpoint", 17) if index < 17 else ("log.checkpoint", 36)
    assert found(folder).startswith(f"manifest.json, field {field}: the first {size} leaves have the root ")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fits", [True, False])
def test_a_file_cut_short(export, seed, fits):
    folder, manifest = export
    dice = random.Random(seed)
    path = dice.choice(sorted(folder.rglob("*.jsonl")) + sorted(folder.rglob("*.parquet")))
    raw = path.read_bytes()
    path.write_bytes(raw[: dice.randrange(len(raw))])
    if fits:
        put_manifest(folder, listed_anew(folder, manifest))
    sentence = found(folder)
    name = path.relative_to(folder).as_posix()
    # Careful hands leave the signature of the manifest, where the log itself is not touched.
    assert name in sentence or (fits and sentence.startswith(("log/leaves-", "manifest.")))


def test_events_rewritten_and_the_manifest_made_to_fit(export):
    folder, manifest = export
    path = folder / "events/certificates.parquet"
    path.write_bytes(path.read_bytes().replace(b"\x10", b"\x11"))
    put_manifest(folder, listed_anew(folder, manifest))
    assert found(folder) == "manifest.note: manifest.json is not the one that was signed."


@pytest.mark.parametrize(
    "missing", ["events/certificates.parquet", "log/leaves-10.jsonl", "manifest.note", "manifest.json"]
)
def test_a_file_taken_away(export, missing):
    folder, _ = export
    (folder / missing).unlink()
    assert found(folder).startswith(missing)


def test_a_file_put_in(export):
    folder, _ = export
    (folder / "log/leaves-36.jsonl").write_bytes(b"")
    assert found(folder) == "log/leaves-36.jsonl: the manifest does not list this file."


def test_a_link_in_place_of_a_file(export):
    folder, _ = export
    path = folder / "events/certificates.parquet"
    path.rename(folder.parent / "elsewhere")
    path.symlink_to(folder.parent / "elsewhere")
    assert found(folder).startswith("events/certificates.parquet: this is a link")


def changed_files(manifest: Manifest, **changes) -> Manifest:
    return replace(manifest, files=(*manifest.files[:1], replace(manifest.files[1], **changes), *manifest.files[2:]))


MANIFESTS = {
    "rows": (lambda m: changed_files(m, rows=11), "log/leaves-0.jsonl: the manifest says 11 rows"),
    "no rows": (lambda m: changed_files(m, rows=None), "log/leaves-0.jsonl: the manifest says None rows"),
    "bytes": (lambda m: changed_files(m, bytes=1), "log/leaves-0.jsonl: the manifest says 1 bytes"),
    "sha256": (lambda m: changed_files(m, sha256="00" * 32), "log/leaves-0.jsonl: the manifest says SHA-256 00"),
    "above": (
        lambda m: changed_files(m, path="../secret"),
        "manifest.json, field files[1].path: '../secret' is no path",
    ),
    "root": (lambda m: changed_files(m, path="/etc/passwd"), "manifest.json, field files[1].path: "),
    "twice": (lambda m: replace(m, files=(*m.files, m.files[0])), "manifest.json, field files[5].path: "),
    "file of its own": (
        lambda m: replace(m, files=(*m.files, File("more", "00" * 32, 0, None))),
        "more: the manifest lists this file",
    ),
    "origin": (lambda m: replace(m, origin="other.example"), "manifest.json, field log.origin: is other.example"),
    "size": (lambda m: replace(m, size=35), "manifest.json, field log.size: is 35, and the checkpoint says 36"),
    "first": (lambda m: replace(m, first=17), "manifest.json, field previous.frontier: is missing"),
    "no previous": (lambda m: replace(m, previous=None), "manifest.note: manifest.json is not the one"),
    "an older checkpoint": (
        lambda m: replace(m, checkpoint=str(a_checkpoint(frontier_of(LEAVES[:30]))), size=30),
        "manifest.json, field log.size: is 30, and there are leaves to 36",
    ),
    "a checkpoint of its own": (
        lambda m: replace(m, checkpoint=str(a_checkpoint(frontier_of(LEAVES), signer=FORGER))),
        "manifest.json, field log.checkpoint: none of the trusted keys signed",
    ),
    "a checkpoint of another tree": (
        lambda m: replace(m, checkpoint=str(a_checkpoint(frontier_of(as_leaves(a_log(12, first=50)))))),
        "manifest.json, field log.checkpoint: the first 36 leaves have the root",
    ),
}


@pytest.mark.parametrize("what", MANIFESTS)
def test_a_manifest_edited(export, what):
    folder, manifest = export
    edit, sentence = MANIFESTS[what]
    put_manifest(folder, edit(manifest))
    assert found(folder).startswith(sentence)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"akashi-export/1"', '"akashi-export/2"', "manifest.json, field format: is not akashi-export/1"),
        ('"size": 36', '"size": 36.0', "manifest.json: 36.0 is not a whole number"),
        ('"size": 36', '"size": "36"', "manifest.json, field log.size: is not a whole number"),
        ('"size": 36', '"size": 36, "size": 36', "manifest.json: the name 'size' occurs twice"),
        ('"rows": 7', '"rows": -7', "manifest.json, field files[0].rows: is not a whole number"),
        ('"rows": 7', '"rows": 8', "manifest.note: manifest.json is not the one that was signed"),
        ('"files"', '"fills"', "manifest.json, field files: is missing"),
    ],
)
def test_a_manifest_written_otherwise(export, old, new, sentence):
    folder, _ = export
    path = folder / "manifest.json"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    assert found(folder).startswith(sentence)


def test_a_log_begun_anew_by_somebody_else_is_found(tmp_path):
    """All hashes, signatures and files fit each other; the key does not."""
    write_export(tmp_path / "export", LEAVES, checkpoint=str(a_checkpoint(frontier_of(LEAVES), signer=FORGER)))
    assert "field log.checkpoint: none of the trusted keys signed" in found(tmp_path / "export")


def test_the_log_s_own_key_is_what_all_rests_on():
    assert TRUST.log_keys == (LOG.verifier,)
