"""Export and import, between real brokers, with a real log; verified as an auditor would."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from console import store
from console.environment import Stack
from schemas import topics
from tests.integration.console.conftest import typed
from tests.integration.console.exporting import (
    NAMES,
    another_kafka,
    export,
    files,
    happen,
    happen_now,
    import_,
    in_folder,
    in_kafka,
    make_empty,
    refused,
    verify,
)
from transparency.signatures import SignerKey


@pytest.fixture(scope="module")
def elsewhere(ready: Stack) -> Iterator[Stack]:
    with another_kafka(ready) as other:
        yield other


@pytest.fixture
def empty(elsewhere: Stack) -> Stack:
    """The other Kafka, with topics that hold nothing."""
    asyncio.run(make_empty(elsewhere.kafka_administrator))
    return elsewhere


def test_an_export_holds_every_record_and_verifies(ready: Stack, tmp_path: Path) -> None:
    happen(ready, 30)

    done = export(ready, tmp_path / "export")

    verify(tmp_path / "export", done["key"])
    held = in_kafka(ready)
    assert in_folder(tmp_path / "export") == held
    assert done["records"] == done["new_records"] == sum(map(len, held.values()))
    assert {topic["topic"]: topic["records"] for topic in done["topics"]} == {t: len(r) for t, r in held.items()}
    assert done["leaves"] >= 60
    present = files(tmp_path / "export")
    assert {"README.txt", "schemas/asyncapi.yaml", "log/leaves-0.jsonl"} < present.keys()
    assert (tmp_path / "export").stat().st_mode & 0o77 == 0


def test_a_second_export_adds_only_what_is_new(ready: Stack, tmp_path: Path) -> None:
    happen(ready, 5)
    first = export(ready, tmp_path)
    before = files(tmp_path)
    happen(ready, 7)

    second = export(ready, tmp_path)

    verify(tmp_path, second["key"])
    assert in_folder(tmp_path) == in_kafka(ready)
    assert second["new_records"] == 7 * 4 + 3
    assert second["records"] == first["records"] + second["new_records"]
    assert second["new_leaves"] == 14
    after = files(tmp_path)
    assert {path for path in before if after[path] != before[path]} == {"manifest.json", "manifest.note"}
    previous = json.loads(after["manifest.json"])["previous"]
    assert previous["manifest_sha256"] == first["manifest_sha256"]
    assert previous["checkpoint"] == json.loads(before["manifest.json"])["log"]["checkpoint"]


def test_where_nothing_happened_nothing_is_written(ready: Stack, tmp_path: Path) -> None:
    happen(ready, 2)
    export(ready, tmp_path)
    happen(ready, 2)
    export(ready, tmp_path)
    before = files(tmp_path)

    done = export(ready, tmp_path)

    assert done["unchanged"]
    assert done["new_records"] == 0
    assert files(tmp_path) == before


@pytest.mark.parametrize("path", ["topics/certificates.v1/000000000000.parquet", "README.txt", "log/leaves-0.jsonl"])
def test_nothing_is_added_to_an_export_that_was_altered(ready: Stack, tmp_path: Path, path: str) -> None:
    happen(ready, 2)
    export(ready, tmp_path)
    content = bytearray((tmp_path / path).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / path).write_bytes(content)

    assert path in refused(ready, "export", tmp_path)


def test_a_folder_of_something_else_is_left_alone(ready: Stack, tmp_path: Path) -> None:
    happen(ready, 1)
    (tmp_path / "thesis.part").write_text("ten years of work")

    assert "thesis.part" in refused(ready, "export", tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "thesis.part"]


def test_an_export_of_another_kafka_is_not_gone_on_with(ready: Stack, empty: Stack, tmp_path: Path) -> None:
    happen(ready, 3)
    export(ready, tmp_path)

    assert "another Kafka" in refused(empty, "export", tmp_path)
    asyncio.run(_tell_noise(empty, 3000))
    assert "another Kafka" in refused(empty, "export", tmp_path)


async def _tell_noise(stack: Stack, records: int) -> None:
    async with AIOKafkaProducer(**stack.kafka_administrator.options()) as producer:
        for topic in NAMES:
            sent = [await producer.send(topic, key=b"%d" % n, value=b"noise", partition=n % 32) for n in range(records)]
            await asyncio.gather(*sent)


async def test_a_leaf_that_the_registry_altered_is_not_exported(ready: Stack, tmp_path: Path) -> None:
    await happen_now(ready, 1)
    async with store.connect(ready, "registry") as registry:
        subject = await registry.fetchval("SELECT subject FROM leaf ORDER BY index DESC LIMIT 1")
        change = "UPDATE certificate SET purchaser_id = $2 WHERE certificate_id = $1 RETURNING purchaser_id"
        before = await registry.fetchval("SELECT purchaser_id FROM certificate WHERE certificate_id = $1", subject)
        await registry.execute(change, subject, "someone-else")

        said = await asyncio.to_thread(refused, ready, "export", tmp_path)

        await registry.execute(change, subject, before)
    assert "not what the log committed to" in said


def test_what_was_erased_stays_erased_and_verifies(ready: Stack, tmp_path: Path) -> None:
    happen(ready, 2)

    async def erase() -> None:
        async with store.connect(ready, "registry") as registry:
            await registry.execute("UPDATE leaf SET salt = NULL WHERE index = (SELECT max(index) FROM leaf)")

    asyncio.run(erase())

    done = export(ready, tmp_path)

    verify(tmp_path, done["key"])
    last = json.loads((tmp_path / "log/leaves-0.jsonl").read_text().splitlines()[-1])
    assert (last["salt"], last["document"]) == (None, None)


def test_an_import_brings_every_record_back(ready: Stack, empty: Stack, tmp_path: Path) -> None:
    happen(ready, 30)
    done = export(ready, tmp_path)
    happen(ready, 10)
    done = export(ready, tmp_path)

    brought = import_(empty, tmp_path, "--key", done["key"])

    assert in_kafka(empty) == in_kafka(ready) == in_folder(tmp_path)
    assert brought["records"] == done["records"]
    assert (brought["there_before"], brought["other_offsets"], brought["verified"]) == (0, {}, True)
    # And an export of it goes on where the other ended.
    assert export(empty, tmp_path)["unchanged"]
    assert import_(empty, tmp_path)["there_before"] == done["records"]


def test_a_kafka_that_holds_something_else_is_refused(ready: Stack, empty: Stack, tmp_path: Path) -> None:
    happen(ready, 2)
    export(ready, tmp_path)
    asyncio.run(_tell_noise(empty, 1))
    before = in_kafka(empty)

    assert "is not empty" in refused(empty, "import", tmp_path)
    assert in_kafka(empty) == before


def test_an_export_that_was_altered_is_not_imported(ready: Stack, empty: Stack, tmp_path: Path) -> None:
    happen(ready, 2)
    export(ready, tmp_path)
    (tmp_path / "README.txt").write_text("all is well")

    assert "README.txt" in refused(empty, "import", tmp_path)
    assert not any(in_kafka(empty).values())


def test_an_import_by_another_key_is_refused(ready: Stack, empty: Stack, tmp_path: Path) -> None:
    happen(ready, 1)
    export(ready, tmp_path)
    other = SignerKey("other.example", bytes(32)).verifier

    done = typed(empty, "audit", "import", str(tmp_path), "--key", str(other))

    assert done.exit_code == 1
    assert "does not verify" in done.stderr
    assert not any(in_kafka(empty).values())


def test_offsets_that_kafka_let_go_of_are_told(ready: Stack, empty: Stack, tmp_path: Path) -> None:
    happen(ready, 1)
    asyncio.run(_tell_noise(empty, 64))
    asyncio.run(_let_go(empty, topics.VIEWS.name))
    done = export(empty, tmp_path)
    held = in_kafka(empty)
    asyncio.run(make_empty(empty.kafka_administrator))

    brought = import_(empty, tmp_path)

    verify(tmp_path, done["key"])
    assert brought["other_offsets"] == {topics.VIEWS.name: 1}
    back = in_kafka(empty)
    assert [(p, *rest) for p, _, *rest in back[topics.VIEWS.name]] == [
        (p, *rest) for p, _, *rest in held[topics.VIEWS.name]
    ]


async def _let_go(stack: Stack, topic: str) -> None:
    admin = AIOKafkaAdminClient(**stack.kafka_administrator.options())
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topic, 3): RecordsToDelete(before_offset=1)})
    finally:
        await admin.close()
