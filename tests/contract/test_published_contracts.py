"""Is what is published what the models say, and is a break refused before it is written?"""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from pydantic import Field

from chassis import dead_letters, decoding, kafka_topics
from schemas import publish, topics
from schemas.__main__ import main
from schemas.applications import WithdrawalRequested
from schemas.event import Event

SCHEMA = "published/applications.v1/WithdrawalRequested.json"
GOLDEN = "examples/applications.v1/WithdrawalRequested.v1.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of what is committed."""
    for name in ("published", "examples"):
        shutil.copytree(publish.ROOT / name, tmp_path / name)
    return tmp_path


def with_event(old: type[Event], new: type[Event]) -> tuple[topics.Topic, ...]:
    """The business topics, with one event as somebody changed it."""
    new.__name__, new.__doc__ = old.__name__, old.__doc__
    return tuple(
        replace(topic, events=tuple(new if event is old else event for event in topic.events))
        for topic in topics.BUSINESS
    )


class WithOptionalReason(WithdrawalRequested):
    reason: str | None = None


class WithRequiredReason(WithdrawalRequested):
    reason: str


class WithShorterKey(WithdrawalRequested):
    application_id: Annotated[str, Field(max_length=8)]  # type: ignore[assignment] # the break under test


class WithAnotherIdentity(WithdrawalRequested):
    identity_fields = ("application_id", "requested_by")  # type: ignore[assignment] # the break under test


def rewrite(path: Path, **changes: Any) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(document | changes), encoding="utf-8")


def test_what_is_committed_is_in_order() -> None:
    assert publish.check() == []


def test_generating_twice_changes_nothing(folder: Path) -> None:
    assert publish.generate(folder) == []
    assert publish.documents() == publish.documents()


def test_generating_from_nothing_gives_what_is_committed(tmp_path: Path) -> None:
    written = publish.generate(tmp_path)

    assert {path.relative_to(tmp_path / "published").as_posix() for path in written} == publish.documents().keys()
    for path in written:
        committed = publish.ROOT / path.relative_to(tmp_path)
        assert path.read_bytes() == committed.read_bytes()


def test_a_stale_schema_is_told(folder: Path) -> None:
    rewrite(folder / SCHEMA, description="as it once was")

    assert publish.check(folder) == [f"{SCHEMA} is stale: run `python -m schemas generate`."]


def test_a_stale_asyncapi_is_told(folder: Path) -> None:
    with (folder / "published/asyncapi.yaml").open("a", encoding="utf-8") as file:
        file.write("# edited by hand\n")

    assert publish.check(folder) == ["published/asyncapi.yaml is stale: run `python -m schemas generate`."]


def test_a_missing_schema_is_told(folder: Path) -> None:
    (folder / SCHEMA).unlink()

    assert publish.check(folder) == [f"{SCHEMA} is missing: run `python -m schemas generate`."]


def test_a_superfluous_schema_is_told_and_kept(folder: Path) -> None:
    stray = folder / "published/applications.v1/ApplicationMislaid.json"
    stray.write_text("{}", encoding="utf-8")

    (fault,) = publish.check(folder)

    assert fault.startswith("published/applications.v1/ApplicationMislaid.json is superfluous")
    with pytest.raises(publish.IncompatibleChange):
        publish.generate(folder)
    assert stray.exists()


@pytest.mark.parametrize("text", ["", "<<<<<<< HEAD", "[]", '{"$ref": "#/$defs/Nowhere"}'])
def test_a_damaged_schema_is_told(folder: Path, text: str) -> None:
    (folder / SCHEMA).write_text(text, encoding="utf-8")

    assert any(fault.startswith(f"{SCHEMA} cannot be compared") for fault in publish.check(folder))


def test_an_added_optional_field_is_written(folder: Path) -> None:
    business = with_event(WithdrawalRequested, WithOptionalReason)

    assert f"{SCHEMA} is stale: run `python -m schemas generate`." in publish.check(folder, business)
    assert publish.generate(folder, business) == [folder / SCHEMA]
    assert publish.check(folder, business) == []


def test_a_break_is_refused_with_field_direction_and_way_out(folder: Path) -> None:
    before = (folder / SCHEMA).read_bytes()

    with pytest.raises(publish.IncompatibleChange) as caught:
        publish.generate(folder, with_event(WithdrawalRequested, WithRequiredReason))

    (fault,) = caught.value.faults
    assert fault.startswith(f"{SCHEMA} would break at reason: required")
    assert "BACKWARD" in fault
    assert "WithdrawalRequested v2, on a new topic, applications.v2" in fault
    assert (folder / SCHEMA).read_bytes() == before


def test_one_break_keeps_everything_from_being_written(folder: Path) -> None:
    (folder / "published/asyncapi.yaml").unlink()

    with pytest.raises(publish.IncompatibleChange):
        publish.generate(folder, with_event(WithdrawalRequested, WithShorterKey))

    assert not (folder / "published/asyncapi.yaml").exists()


def test_a_golden_message_that_no_longer_reads_is_told_with_its_fields(folder: Path) -> None:
    faults = publish.check(folder, with_event(WithdrawalRequested, WithRequiredReason))

    assert f"{GOLDEN} no longer reads: reason." in faults


def test_another_identity_is_told_though_no_schema_shows_it(folder: Path) -> None:
    (fault,) = publish.check(folder, with_event(WithdrawalRequested, WithAnotherIdentity))

    assert fault.startswith(f"{GOLDEN} no longer reads: its ce_id is now")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"headers": {}}, "ce_specversion_is_not_1.0"),
        ({"value": {}}, "application_id, requested_at, requested_by"),
        ({"key": "another"}, "its key is now"),
        ({"extra": 1}, "not a golden message (TypeError)"),
    ],
)
def test_a_golden_message_that_was_changed_is_told(folder: Path, changes: dict[str, Any], fault: str) -> None:
    rewrite(folder / GOLDEN, **changes)

    assert [told.startswith(f"{GOLDEN} no longer reads: {fault}") for told in publish.check(folder)] == [True]


def test_a_golden_message_of_an_unknown_type_or_topic_is_told(folder: Path) -> None:
    (folder / "examples/applications.v0").mkdir()
    shutil.copy(folder / GOLDEN, folder / "examples/applications.v0/Old.v0.json")
    shutil.copy(folder / GOLDEN, folder / "examples/views.v1/Stray.v1.json")

    assert publish.check(folder) == [
        "examples/applications.v0/Old.v0.json no longer reads: its topic is unknown.",
        "examples/views.v1/Stray.v1.json no longer reads: akashi.WithdrawalRequested.v1.",
    ]


def test_a_missing_golden_message_is_told(folder: Path) -> None:
    (folder / GOLDEN).unlink()

    assert publish.check(folder) == [f"{GOLDEN} is missing."]


def test_the_command_ends_with_0_only_where_all_is_well(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--folder", str(folder)]) == 0
    assert main(["generate", "--folder", str(folder)]) == 0
    rewrite(folder / SCHEMA, description="as it once was")

    assert main(["check", "--folder", str(folder)]) == 1
    assert f"{SCHEMA} is stale" in capsys.readouterr().err

    assert main(["generate", "--folder", str(folder)]) == 0
    assert f"wrote {folder / SCHEMA}" in capsys.readouterr().out

    rewrite(folder / SCHEMA, required=[])
    assert main(["generate", "--folder", str(folder)]) == 1
    assert "would break at application_id" in capsys.readouterr().err


def test_deleting_and_generating_anew_does_not_hide_a_break_from_git(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=test", "-c", "user.email=test@akashi.example", "-c", "commit.gpgsign=false")
        subprocess.run(("git", *identity, *arguments), cwd=folder, check=True, capture_output=True)

    git("init", "--quiet")
    rewrite(folder / SCHEMA, required=[])
    git("add", ".")
    git("commit", "--quiet", "--message", "published")
    (folder / SCHEMA).unlink()
    publish.generate(folder)

    assert publish.check(folder) == []
    assert main(["check", "--folder", str(folder), "--against", "HEAD"]) == 1
    assert f"{SCHEMA} would break at application_id" in capsys.readouterr().err
    assert main(["check", "--folder", str(folder), "--against", "nowhere"]) == 1
    assert "Cannot compare with nowhere" in capsys.readouterr().err


# The AsyncAPI document


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((publish.ROOT / "published/asyncapi.yaml").read_text(encoding="utf-8"))
    return document


def references(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if "$ref" in part else []
        return own + [reference for value in part.values() for reference in references(value)]
    return [reference for item in part for reference in references(item)] if isinstance(part, list) else []


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    for reference in references(described):
        if reference.startswith("./"):
            assert (publish.ROOT / "published" / reference).is_file(), reference
            continue
        part = described
        for step in reference.removeprefix("#/").split("/"):
            part = part[step]


def test_there_is_a_channel_for_each_topic_as_it_is_made(described: dict[str, Any]) -> None:
    made = kafka_topics.declared(1)

    assert sorted(described["channels"]) == sorted(topic.name for topic in made)
    for topic in made:
        binding = described["channels"][topic.name]["bindings"]["kafka"]
        settings = binding["topicConfiguration"] | {
            "cleanup.policy": binding["topicConfiguration"]["cleanup.policy"][0]
        }
        assert binding["partitions"] == topic.num_partitions
        assert {name: topic.topic_configs[name] for name in settings} == {
            name: str(value) for name, value in settings.items()
        }


def test_each_writer_sends_and_each_group_receives(described: dict[str, Any]) -> None:
    for topic in topics.BUSINESS:
        channel = {"$ref": f"#/channels/{topic.name}"}
        own = [operation for operation in described["operations"].items() if operation[1]["channel"] == channel]
        assert [name for name, operation in own if operation["action"] == "send"] == [
            f"{topic.writer}.sends.{topic.name}"
        ]
        assert [
            operation["bindings"]["kafka"]["groupId"]["enum"]
            for _, operation in own
            if operation["action"] == "receive"
        ] == [[group] for group in topic.readers]


def test_the_described_headers_are_those_of_the_golden_messages(described: dict[str, Any]) -> None:
    for _, example in publish.examples():
        headers = described["components"]["messages"][example.headers["ce_type"]]["headers"]
        assert set(headers["required"]) <= example.headers.keys() <= headers["properties"].keys()
        constants = {name: part["const"] for name, part in headers["properties"].items() if "const" in part}
        assert constants.items() <= example.headers.items()
        assert re.fullmatch(
            described["components"]["schemas"]["traceparent"]["pattern"], example.headers["traceparent"]
        )


def test_the_described_headers_of_a_parked_record_are_those_it_gets(described: dict[str, Any]) -> None:
    written = {
        dead_letters.ID,
        dead_letters.REASON,
        decoding.ORIGIN_TOPIC,
        dead_letters.ORIGIN_PARTITION,
        dead_letters.ORIGIN_OFFSET,
        dead_letters.ATTEMPTS,
        dead_letters.PARKED_AT,
    }

    assert set(described["components"]["messages"]["parked"]["headers"]["properties"]) == written
