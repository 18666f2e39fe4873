"""What others read instead of our Python: a JSON Schema per event, an AsyncAPI document of all topics, golden messages.

The first two are generated, committed, and compared in CI. Within `vN` a schema only gains optional fields with a
default. Golden messages were published once, so every later version must read them as the same event.
"""

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError
from pydantic.json_schema import GenerateJsonSchema

from schemas import asyncapi
from schemas.asyncapi import Json, schema_file
from schemas.compatibility import breaks
from schemas.envelope import Attributes, NotACloudEvent, read_attributes
from schemas.event import Event
from schemas.topics import BUSINESS, Topic

ROOT: Final = Path(__file__).parent
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
ASYNCAPI: Final = "asyncapi.yaml"


class IncompatibleChange(Exception):
    """A published schema would be replaced by one that breaks it. Nothing was written."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


class UnknownType(LookupError):
    """No event of the topic has this CloudEvents type."""


@dataclass(frozen=True)
class Example:
    """A golden message, headers and value as text and JSON."""

    topic: Topic
    headers: Mapping[str, str]
    key: str
    value: Json

    def attributes(self) -> Attributes:
        """Raises `NotACloudEvent`."""
        return read_attributes((name, value.encode()) for name, value in self.headers.items())

    def event(self) -> Event:
        """The event, by its `ce_type`. Raises `NotACloudEvent`, `UnknownType` or `ValidationError`."""
        event = self.topic.event_of(self.attributes().type)
        if event is None:
            raise UnknownType(self.attributes().type)
        return event.model_validate_json(json.dumps(self.value))


class _Untitled(GenerateJsonSchema):
    """Without the titles that only repeat a field's name."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - the signature is pydantic's
        return False


def json_schema(event: type[Event], topic: Topic) -> Json:
    """What readers of the event accept, in JSON Schema 2020-12."""
    schema = event.model_json_schema(schema_generator=_Untitled)
    definitions = {"$defs": schema.pop("$defs")} if "$defs" in schema else {}
    urn = f"urn:akashi:schema:{topic.name}:{event.__name__}"
    return {"$schema": DIALECT, "$id": urn, "title": event.__name__, **schema, **definitions}


def documents(business: Sequence[Topic] = BUSINESS) -> dict[str, str]:
    """Every published file by its path, with its text: the same text for the same models."""
    files = {
        schema_file(event, topic): json.dumps(json_schema(event, topic), ensure_ascii=False, indent=2) + "\n"
        for topic in business
        for event in topic.events
    }
    described = yaml.safe_dump(asyncapi.document(business), sort_keys=False, allow_unicode=True, width=120)
    files[ASYNCAPI] = f"# Generated from schemas/topics.py by `python -m schemas generate`.\n{described}"
    return files


def generate(folder: Path = ROOT, business: Sequence[Topic] = BUSINESS) -> list[Path]:
    """Write what changed under `folder`/published and return it. `IncompatibleChange` means nothing was."""
    published, files = folder / "published", documents(business)
    before = _texts(published)
    faults = _broken(before, files, business)
    if faults:
        raise IncompatibleChange(faults)
    changed = [name for name, text in files.items() if before.get(name) != text]
    for name in changed:
        (published / name).parent.mkdir(parents=True, exist_ok=True)
        (published / name).write_text(files[name], encoding="utf-8")
    return [published / name for name in changed]


def check(folder: Path = ROOT, business: Sequence[Topic] = BUSINESS) -> list[str]:
    """All that is wrong with the published files and the golden messages under `folder`, one sentence each."""
    before, files = _texts(folder / "published"), documents(business)
    faults = [
        f"published/{name} is {'stale' if name in before else 'missing'}: run `python -m schemas generate`."
        for name, text in files.items()
        if before.get(name) != text
    ]
    return [*_broken(before, files, business), *faults, *_unread(folder / "examples", business)]


def check_against(revision: str, folder: Path = ROOT, business: Sequence[Topic] = BUSINESS) -> list[str]:
    """The breaks of what a git revision published: seen even where its files were deleted and generated anew.

    Raises `CalledProcessError` where git does not know the revision.
    """

    def git(*arguments: str) -> str:
        answer = subprocess.run(("git", *arguments), cwd=folder, check=True, capture_output=True, encoding="utf-8")
        return answer.stdout

    names = git("ls-tree", "-r", "--name-only", "-z", revision, "published/").split("\0")
    before = {name.removeprefix("published/"): git("show", f"{revision}:./{name}") for name in names if name}
    return [f"{fault} ({revision})" for fault in _broken(before, documents(business), business)]


def examples(folder: Path = ROOT, business: Sequence[Topic] = BUSINESS) -> Iterator[tuple[Path, Example]]:
    """Every golden message under `folder`/examples with its file, by topic."""
    for topic in business:
        for path in sorted((folder / "examples" / topic.name).glob("*.json")):
            yield path, _example(path, topic)


def _example(path: Path, topic: Topic) -> Example:
    return Example(topic, **json.loads(path.read_text(encoding="utf-8")))


def _texts(published: Path) -> dict[str, str]:
    paths = sorted(path for path in published.rglob("*") if path.is_file())
    return {path.relative_to(published).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def _broken(before: Mapping[str, str], after: Mapping[str, str], business: Sequence[Topic]) -> list[str]:
    """What the published files of `before` promise and those of `after` do not keep."""
    contracts = {schema_file(event, topic): (event, topic) for topic in business for event in topic.events}
    faults = []
    for name, text in before.items():
        if name == ASYNCAPI:
            continue
        if name not in contracts:
            faults.append(f"published/{name} is superfluous: no event of schemas/topics.py is published there.")
            continue
        try:
            broken = breaks(json.loads(text), json.loads(after[name]))
        except (ValueError, LookupError, AttributeError) as error:
            faults.append(f"published/{name} cannot be compared ({type(error).__name__}): restore it.")
        else:
            faults += [f"published/{name} would break at {one}. {_way_out(*contracts[name])}" for one in broken]
    return faults


def _way_out(event: type[Event], topic: Topic) -> str:
    subject, _, version = topic.name.rpartition(".v")
    upcoming = int(version) + 1
    return f"A break is a new event, {event.__name__} v{upcoming}, on a new topic, {subject}.v{upcoming}."


def _unread(folder: Path, business: Sequence[Topic]) -> list[str]:
    """Golden messages under `folder` that do not read as what they were, and events without one."""
    topics = {topic.name: topic for topic in business}
    wanted = {
        f"{topic.name}/{event.__name__}.v{event.version_of_contract}.json"
        for topic in business
        for event in topic.events
    }
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.json"))}
    faults = [f"examples/{name} is missing." for name in sorted(wanted - found.keys())]
    for name, path in found.items():
        topic = topics.get(path.parent.name)
        fault = "its topic is unknown" if topic is None else _fault(path, topic)
        if fault:
            faults.append(f"examples/{name} no longer reads: {fault}.")
    return faults


def _fault(path: Path, topic: Topic) -> str | None:
    """Why a reader would refuse the golden message; the same rules as for a record."""
    try:
        example = _example(path, topic)
        event = example.event()
    except ValidationError as error:
        return ", ".join(sorted({".".join(map(str, fault["loc"])) for fault in error.errors(include_input=False)}))
    except (NotACloudEvent, UnknownType) as error:
        return str(error)
    except (ValueError, TypeError) as error:
        return f"not a golden message ({type(error).__name__})"
    if event.key != example.key:
        return f"its key is now {event.key}"
    if event.event_id != example.attributes().id:
        return f"its ce_id is now {event.event_id}"
    return None
