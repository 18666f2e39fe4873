"""What an export is made of: files, names, the manifest, and what becomes of a folder that was left in the middle."""

import errno
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from typer.testing import CliRunner

from console.audit import export_files, export_folder, export_log, export_manifest
from console.audit.export import _without_known
from console.audit.export_files import FILE, Row, Span, TopicFile, TopicWriter
from console.audit.export_folder import Before
from console.audit.export_progress import Silent
from console.audit.export_topics import Bounds
from console.main import app
from deploy.local.problem import Problem
from schemas import topics
from transparency.checkpoints import Checkpoint, SignedCheckpoint, sign
from transparency.export import MANIFEST, MANIFEST_NOTE, Manifest, sign_manifest
from transparency.merkle import Frontier
from transparency.signatures import SignerKey

TOPIC = topics.CERTIFICATES.name
EMPTY: Mapping[str, bytes] = MappingProxyType({})
SIGNER = SignerKey("log.example", bytes(range(32)))
ODD: Sequence[Row] = (
    Row(0, 0, 1_700_000_000_000, b"key", b"value", [("ce_id", b"1"), ("ce_type", b"x"), ("ce_id", b"2")]),
    Row(0, 1, 0, None, None, []),
    Row(0, 7, -1, b"", b"", [("a", None), ("a", b""), ("証", b"\xff\x00")]),
    Row(3, 0, 1, b"\xff", None, []),
    Row(31, 2**40, 2**41, b"k", bytes(range(256)) * 900, [("z", b"z")]),
)


def some(count: int, partition: int = 0, first: int = 0) -> list[Row]:
    return [Row(partition, first + n, n, b"%d" % n, b"v" * n, [("ce_id", b"%d" % n)]) for n in range(count)]


async def written(folder: Path, *polls: Sequence[Row], row: int = 0) -> list[TopicFile]:
    writer = TopicWriter(folder, TOPIC, row)
    for records in polls:
        await writer.add(records)
    await writer.close()
    return writer.written


def read(folder: Path, files: Sequence[TopicFile]) -> list[Row]:
    return [row for rows in export_files.rows_of(folder, files) for row in rows]


def test_a_name_says_how_many_records_come_before_and_sorts() -> None:
    names = [export_files.name(TOPIC, row) for row in (0, 262_144, 1_000_000)]

    assert names[1] == "topics/certificates.v1/000000262144.parquet"
    assert names == sorted(names)
    assert all(FILE.fullmatch(name) for name in names)


async def test_records_are_read_as_they_were_written(tmp_path: Path) -> None:
    files = await written(tmp_path, ODD)

    assert read(tmp_path, files) == list(ODD)
    (file,) = files
    assert export_files.read_footer(tmp_path, file.path) == file
    assert {number: (span.first, span.last, span.rows) for number, span in file.spans.items()} == {
        0: (0, 7, 3),
        3: (0, 0, 1),
        31: (2**40, 2**40, 1),
    }


async def test_batches_that_share_a_row_group_are_read_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_files, "_READ_ROWS", 7)
    rows = [*some(40), *ODD[3:]]
    files = await written(tmp_path, rows)

    assert read(tmp_path, files) == rows


async def test_anybody_reads_the_files(tmp_path: Path) -> None:
    (file,) = await written(tmp_path, ODD)

    table = pq.ParquetFile(tmp_path / file.path)

    assert table.schema_arrow.names == ["partition", "offset", "timestamp_ms", "key", "value", "headers"]
    assert table.read().to_pylist()[0]["headers"][1] == {"name": "ce_type", "value": b"x"}
    assert table.metadata.row_group(0).column(4).compression == "ZSTD"


async def test_files_do_not_depend_on_how_kafka_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_files, "ROW_GROUP_ROWS", 10)
    monkeypatch.setattr(export_files, "FILE_ROWS", 20)
    rows = [*some(33), *some(33, partition=1)]

    one = await written(tmp_path / "one", rows)
    other = await written(tmp_path / "other", *([row] for row in rows))
    rest = await written(tmp_path / "rest", rows[40:], row=40)

    assert [file.row for file in one] == [0, 20, 40, 60]
    assert one == other
    assert one[2:] == rest
    for file in one:
        assert (tmp_path / "one" / file.path).read_bytes() == (tmp_path / "other" / file.path).read_bytes()


async def test_large_records_make_small_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_files, "ROW_GROUP_BYTES", 10_000)
    (file,) = await written(tmp_path, some(100, partition=2))

    assert pq.ParquetFile(tmp_path / file.path).num_row_groups > 4


async def test_a_file_that_is_missing_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_files, "ROW_GROUP_ROWS", 5)
    monkeypatch.setattr(export_files, "FILE_ROWS", 5)
    files = await written(tmp_path, some(20))

    assert export_files.totals(files)[0].rows == 20
    with pytest.raises(Problem, match=r"000000000005\.parquet is missing"):
        export_files.totals([files[0], *files[2:]])


def test_what_is_no_file_of_ours_is_refused(tmp_path: Path) -> None:
    path = export_files.name(TOPIC, 0)
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_bytes(b"PAR1 but not really PAR1")

    with pytest.raises(Problem, match=r"000000000000\.parquet"):
        export_files.read_footer(tmp_path, path)


@pytest.mark.parametrize("changed", [{"timestamp": 5}, {"key": None}, {"value": None}, {"headers": []}, {"offset": 1}])
def test_a_digest_is_of_all_that_is_brought_back(changed: dict) -> None:
    assert export_files.digest(ODD[0]) != export_files.digest(ODD[0]._replace(**changed))


def test_headers_in_another_order_are_another_record() -> None:
    turned = ODD[0]._replace(headers=list(reversed(ODD[0].headers)))

    assert not export_files.is_same(ODD[0], turned)
    assert export_files.is_same(ODD[0], ODD[0]._replace(offset=9, headers=tuple(ODD[0].headers)))


def span_of(row: Row) -> Span:
    return Span(0, row.offset, row.offset + 1, export_files.digest(row))


def test_what_follows_the_record_that_is_known_is_new() -> None:
    rows = some(5)

    assert _without_known(TOPIC, 0, span_of(rows[0]), rows) == rows[1:]


def test_where_the_known_record_is_another_one_kafka_is_another_one() -> None:
    rows = some(5)

    with pytest.raises(Problem, match="another Kafka"):
        _without_known(TOPIC, 0, span_of(rows[0]._replace(value=b"other")), rows)
    with pytest.raises(Problem, match="another Kafka"):
        _without_known(TOPIC, 0, span_of(rows[0]), rows[1:])


def test_a_compacted_topic_may_have_let_go_of_the_known_record() -> None:
    rows = some(5)

    assert _without_known(topics.DATA_KEYS.name, 0, span_of(rows[0]), rows[2:]) == rows[2:]


def test_a_topic_is_described_by_what_kafka_had_and_what_is_there() -> None:
    file = TopicFile("x", TOPIC, 0, 7, {0: Span(0, 4, 5, ""), 2: Span(4, 9, 2, "")})

    described = export_manifest.describe([file], {0: Bounds(0, 5), 1: Bounds(0, 0), 2: Bounds(3, 11)})

    assert described["records"] == 7
    assert described["gaps"] == 6
    assert described["partitions"]["2"] == {"first": 3, "next": 11, "records": 2}
    assert described["partitions"]["1"] == {"first": 0, "next": 0, "records": 0}


def signed(size: int = 0) -> SignedCheckpoint:
    frontier, _ = Frontier().extend([bytes([n]) * 32 for n in range(size)])
    checkpoint = Checkpoint.of(SIGNER.name, frontier)
    return SignedCheckpoint(checkpoint, sign(checkpoint, SIGNER), None)


def fill(folder: Path, size: int = 0, *, readme: bytes = b"read me", more: Mapping[str, bytes] = EMPTY) -> bytes:
    """An export of nothing but a readme."""
    for path, content in {"README.txt": readme, **more}.items():
        export_folder.lay_ready(folder, path, content)
    files = export_manifest.list_files(folder, None, {}, Silent())
    raw = export_manifest.compose(None, files, signed(size), {TOPIC: export_manifest.describe([], {0: Bounds(0, 0)})})
    export_folder.put_manifest(folder, raw, str(sign_manifest(raw, SIGNER.name, SIGNER)).encode())
    return raw


def take_up(folder: Path) -> Before | None:
    return export_folder.take_up(
        folder, SIGNER.verifier, is_ours=lambda path: path.startswith(("README.txt", "schemas/")), hashed=lambda _: None
    )


def test_the_manifest_is_one_that_the_log_reads_and_says_more(tmp_path: Path) -> None:
    raw = fill(tmp_path)

    manifest = Manifest.parse(raw)
    assert [file.path for file in manifest.files] == ["README.txt"]
    assert (manifest.origin, manifest.first, manifest.size, manifest.previous) == (SIGNER.name, 0, 0, None)
    assert export_manifest.partitions_of(raw) == {TOPIC: {0: 0}}
    with pytest.raises(Problem):
        export_manifest.partitions_of(manifest.to_bytes())


def test_a_manifest_goes_on_from_the_one_before_and_only_when_something_changed(tmp_path: Path) -> None:
    first = Before(fill(tmp_path), Manifest.parse(fill(tmp_path)))
    described = json.loads(first.raw)["topics"]

    again = export_manifest.compose(first, first.manifest.files, signed(0), described)
    second = export_manifest.compose(first, first.manifest.files, signed(3), described)

    assert again == first.raw
    previous = Manifest.parse(second).previous
    assert previous is not None
    assert (previous.checkpoint, previous.manifest_sha256) == (first.manifest.checkpoint, first.sha256)
    before = Before(second, Manifest.parse(second))
    assert export_manifest.compose(before, before.manifest.files, signed(3), described) == second


def test_an_export_that_is_whole_is_taken_up(tmp_path: Path) -> None:
    raw = fill(tmp_path)
    (tmp_path / "README.txt.part").write_bytes(b"half of")

    before = take_up(tmp_path)

    assert before is not None
    assert before.raw == raw
    assert not (tmp_path / "README.txt.part").exists()


def test_a_manifest_that_was_cut_off_from_its_note_gets_it(tmp_path: Path) -> None:
    fill(tmp_path)
    old_note = (tmp_path / MANIFEST_NOTE).read_bytes()
    raw = fill(tmp_path, size=3)
    (tmp_path / MANIFEST_NOTE).rename(tmp_path / (MANIFEST_NOTE + ".part"))
    (tmp_path / MANIFEST_NOTE).write_bytes(old_note)

    before = take_up(tmp_path)

    assert before is not None
    assert before.raw == raw
    assert not (tmp_path / (MANIFEST_NOTE + ".part")).exists()


@pytest.mark.parametrize("names", range(4))
def test_another_release_that_was_cut_off_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: int
) -> None:
    """It explains exports otherwise, and was killed when so many files had their names."""
    old = fill(tmp_path)
    settle, left = export_folder.settle, iter(range(names))

    def settle_some(target: Path) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        settle(target)

    monkeypatch.setattr(export_folder, "settle", settle_some)
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path, 3, readme=b"read me otherwise", more={"schemas/new.json": b"{}"})
    monkeypatch.undo()

    before = take_up(tmp_path)

    assert before is not None
    assert (before.raw == old) == (names == 0)
    assert (tmp_path / "README.txt").read_bytes() == (b"read me otherwise" if names else b"read me")
    assert (tmp_path / "schemas" / "new.json").exists() == bool(names)


def test_a_manifest_that_has_not_its_name_yet_does_not_count(tmp_path: Path) -> None:
    raw = fill(tmp_path)
    (tmp_path / (MANIFEST_NOTE + ".part")).write_bytes(b"a note")
    (tmp_path / (MANIFEST + ".part")).write_bytes(b"half a manifest")

    before = take_up(tmp_path)

    assert before is not None
    assert before.raw == raw
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.txt", MANIFEST, MANIFEST_NOTE]


def test_an_export_of_another_log_is_not_taken_up(tmp_path: Path) -> None:
    raw = fill(tmp_path)
    other = SignerKey(SIGNER.name, bytes(32))
    (tmp_path / MANIFEST_NOTE).write_text(str(sign_manifest(raw, SIGNER.name, other)))

    with pytest.raises(Problem, match="not one that this log signed"):
        take_up(tmp_path)


@pytest.mark.parametrize("change", ["alter", "remove", "link"])
def test_an_export_that_was_altered_is_not_taken_up(tmp_path: Path, change: str) -> None:
    fill(tmp_path)
    readme = tmp_path / "README.txt"
    if change == "alter":
        readme.write_bytes(b"Read me")
    else:
        readme.rename(tmp_path.parent / f"{tmp_path.name}-elsewhere")
    if change == "link":
        readme.symlink_to(tmp_path.parent / f"{tmp_path.name}-elsewhere")

    with pytest.raises(Problem, match=r"README\.txt"):
        take_up(tmp_path)


def test_two_do_not_work_in_one_folder(tmp_path: Path) -> None:
    with (
        export_folder.locked(tmp_path / "export"),
        pytest.raises(Problem, match="Another command"),
        export_folder.locked(tmp_path / "export"),
    ):
        pass


def test_a_full_disk_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="No space left"), export_folder.locked(tmp_path):
        raise OSError(errno.ENOSPC, "written by Arrow")


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(Problem, match="can't be used"), export_folder.locked(tmp_path / "file"):
        pass


class Registry:
    """A connection that gives checkpoints, other ones each time it is asked."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)

    async def fetch(self, statement: str) -> list[dict]:
        assert "checkpoint" in statement
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [{"note": note} for note in answer]


def notes(size: int) -> tuple[str, str]:
    """A checkpoint, as it was signed and as a witness cosigned it. Ours is a stand-in: nobody here checks it."""
    plain = sign(signed(size).checkpoint, SIGNER)
    return str(plain), str(sign(signed(size).checkpoint, SIGNER, at=1_800_000_000))


async def newest(*answers: Sequence[str], wait_seconds: float = 5.0, key: SignerKey = SIGNER) -> tuple[int, int]:
    registry: Any = Registry(*answers)
    found = await export_log.newest_checkpoint(registry, key.verifier, wait_seconds=wait_seconds)
    return found.checkpoint.size, len(found.note.signatures)


async def test_the_witnesses_of_the_newest_checkpoint_are_given_a_while() -> None:
    (plain_2, cosigned_2), (_, cosigned_1) = notes(2), notes(1)

    assert await newest([plain_2, cosigned_1], [cosigned_2, cosigned_1]) == (2, 2)


async def test_a_witness_that_stays_away_is_not_waited_for() -> None:
    assert await newest([notes(2)[0], notes(1)[1]], wait_seconds=0) == (2, 1)
    assert await newest([notes(2)[0], notes(1)[0]], wait_seconds=1000) == (2, 1)


async def test_without_a_checkpoint_there_is_no_export() -> None:
    with pytest.raises(Problem, match="no checkpoint yet"):
        await newest([])
    with pytest.raises(Problem, match="registry/log_key"):
        await newest([notes(1)[0]], key=SignerKey("other.example", bytes(32)))


@pytest.mark.parametrize("command", ["export", "import"])
def test_without_a_stack_the_command_says_so(tmp_path: Path, command: str) -> None:
    nowhere = dict.fromkeys(
        ("AKASHI_KAFKA_BOOTSTRAP", "AKASHI_POSTGRES_HOST", "AKASHI_POSTGRES_PORT", "AKASHI_SECRETS_DIR"), ""
    )

    done = CliRunner(env={**nowhere, "AKASHI_STATE": str(tmp_path)}).invoke(
        app, ["audit", command, str(tmp_path / "x")]
    )

    assert done.exit_code == 1
    assert done.stderr.startswith("No stack was found in ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "x").exists()
