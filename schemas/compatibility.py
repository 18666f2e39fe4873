"""Can two versions of one event's JSON Schema meet, old documents with new readers and new documents with old readers?

Readers ignore fields they do not know, and writers write only the fields of their schema: so a field that one side
lacks counts as absent. What this page cannot judge it calls a break; it never calls a break compatible.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

Schema = Mapping[str, Any]

_LOWER_BOUNDS: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER_BOUNDS: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
#: A reader has the writer's, or none.
_EXACT: Final = ("pattern", "format", "multipleOf", "uniqueItems")
_SHAPE: Final = ("type", "enum", "const", "default", "properties", "required", "additionalProperties", "items")
_JUDGED: Final = frozenset((*_LOWER_BOUNDS, *_UPPER_BOUNDS, *_EXACT, *_SHAPE))
#: Says nothing about which documents are valid.
_NOTES: Final = frozenset({"$schema", "$id", "$comment", "$defs", "title", "description", "examples", "deprecated"})
_SCHEMAS_BY_NAME: Final = frozenset({"properties", "patternProperties", "dependentSchemas"})
_VALUES: Final = frozenset({"enum", "const", "default"})


class Direction(StrEnum):
    """Whose documents, whose reader."""

    #: What a replay needs.
    BACKWARD = "BACKWARD, old documents and new reader"
    #: What a rolling deployment needs.
    FORWARD = "FORWARD, new documents and old readers"


@dataclass(frozen=True)
class Break:
    """A change that makes one side refuse or misread the other's documents."""

    direction: Direction
    #: `works.price_yen`, `products[].form`; empty for the document itself.
    field: str
    why: str

    def __str__(self) -> str:
        return f"{self.field or 'the document'}: {self.why} ({self.direction})"


def breaks(old: Schema, new: Schema) -> tuple[Break, ...]:
    """All that keeps `new` from taking the place of `old` on the same topic; nothing if it may.

    Raises `RecursiveSchema` for a document that holds itself.
    """
    old, new = _inlined(old, old.get("$defs", {})), _inlined(new, new.get("$defs", {}))
    found = [Break(Direction.BACKWARD, *problem) for problem in (*_refused(old, new, ""), *_forgotten(old, new, ""))]
    found += [Break(Direction.FORWARD, *problem) for problem in _refused(new, old, "")]
    return tuple(dict.fromkeys(found))


class RecursiveSchema(ValueError):
    """Events are trees of a known depth; nothing here compares others."""


def _inlined(part: Any, definitions: Schema, inside: tuple[str, ...] = ()) -> Any:
    """The schema with each `$ref` replaced by what it means, and without notes."""
    if isinstance(part, list):
        return [_inlined(item, definitions, inside) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        name = part["$ref"].removeprefix("#/$defs/")
        if name in inside:
            raise RecursiveSchema(name)
        beside = {keyword: value for keyword, value in part.items() if keyword != "$ref"}
        return _inlined({**definitions[name], **beside}, definitions, (*inside, name))
    inlined: dict[str, Any] = {}
    for keyword, value in part.items():
        if keyword in _SCHEMAS_BY_NAME:
            inlined[keyword] = {name: _inlined(schema, definitions, inside) for name, schema in value.items()}
        elif keyword in _VALUES:
            inlined[keyword] = value
        elif keyword not in _NOTES:
            inlined[keyword] = _inlined(value, definitions, inside)
    return inlined


def _refused(writer: Any, reader: Any, field: str) -> Iterator[tuple[str, str]]:
    """Where a document of `writer` may be refused or misread by `reader`, and why."""
    alternatives = _alternatives(reader)
    for written in _alternatives(writer):
        attempts = [(read, list(_refused_by_one(written, read, field))) for read in alternatives]
        if all(problems for _, problems in attempts):
            alike = [problems for read, problems in attempts if read.get("type") == written.get("type")]
            taken = " or ".join(sorted({str(read.get("type", "anything")) for read in alternatives})) or "nothing"
            yield from (
                alike[0] if alike else [(field, f"{written.get('type', 'anything')} is written, {taken} is read")]
            )


def _alternatives(schema: Any) -> list[dict[str, Any]]:
    if isinstance(schema, bool):
        return [{}] if schema else []
    if schema.keys() <= {"anyOf", "default"} and "anyOf" in schema:
        return [alternative for branch in schema["anyOf"] for alternative in _alternatives(branch)]
    if isinstance(schema.get("type"), list):
        return [{**schema, "type": name} for name in schema["type"]]
    return [schema]


def _refused_by_one(writer: Schema, reader: Schema, field: str) -> Iterator[tuple[str, str]]:
    strange = (writer.keys() | reader.keys()) - _JUDGED
    if strange:
        if _as_json(writer) != _as_json(reader):
            yield field, f"changed, and {', '.join(sorted(strange))} cannot be judged"
        return
    types = writer.get("type"), reader.get("type")
    if types[1] not in {None, types[0]} and types != ("integer", "number"):
        yield field, f"{types[0] or 'anything'} is written, {types[1]} is read"
        return
    yield from ((field, why) for why in (*_values(writer, reader), *_limits(writer, reader)))
    yield from _fields(writer, reader, field)
    if "items" in reader:
        yield from _refused(writer.get("items", True), reader["items"], f"{field}[]")


def _values(writer: Schema, reader: Schema) -> Iterator[str]:
    read = _listed(reader)
    if read is None:
        return
    written = _listed(writer)
    if written is None:
        yield f"only {', '.join(sorted(read))} is read"
    elif written - read:
        yield f"{', '.join(sorted(written - read))} is written and not read"


def _listed(schema: Schema) -> set[str] | None:
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    return None if values is None else {_as_json(value) for value in values}


def _limits(writer: Schema, reader: Schema) -> Iterator[str]:
    for keyword in (*_LOWER_BOUNDS, *_UPPER_BOUNDS):
        written, read = writer.get(keyword), reader.get(keyword)
        if read is None:
            continue
        if written is None or (written < read if keyword in _LOWER_BOUNDS else written > read):
            yield f"{keyword} {'none' if written is None else written} is written, {read} is read"
    for keyword in _EXACT:
        if keyword in reader and writer.get(keyword) != reader[keyword]:
            yield f"{keyword} {writer.get(keyword, 'none')} is written, {reader[keyword]} is read"


def _fields(writer: Schema, reader: Schema, field: str) -> Iterator[tuple[str, str]]:
    written, read = writer.get("properties", {}), reader.get("properties", {})
    others_written, others_read = writer.get("additionalProperties", False), reader.get("additionalProperties", True)
    for name in reader.get("required", ()):
        if name not in writer.get("required", ()):
            yield _inside(field, name), "required by the reader, and the writer may leave it out"
    for name in dict.fromkeys((*written, *read)):
        yield from _refused(written.get(name, others_written), read.get(name, others_read), _inside(field, name))
        if name in written and name in read:
            both = [part for part in (written[name], read[name]) if isinstance(part, dict)]
            meant = [_as_json(part["default"]) for part in both if "default" in part]
            if len(set(meant)) > 1:
                yield _inside(field, name), f"left out, it means {meant[0]} to the writer and {meant[1]} to the reader"
    yield from _refused(others_written, others_read, _inside(field, "*"))


def _forgotten(old: Any, new: Any, field: str) -> Iterator[tuple[str, str]]:
    """Fields that are gone. Only neighbouring versions are compared: a freed name could come back as something else."""
    for before in _alternatives(old):
        attempts = [
            list(_forgotten_by_one(before, after, field))
            for after in _alternatives(new)
            if after.get("type") == before.get("type")
        ]
        yield from min(attempts, key=len, default=[])


def _forgotten_by_one(old: Schema, new: Schema, field: str) -> Iterator[tuple[str, str]]:
    known = new.get("properties", {})
    for name, part in old.get("properties", {}).items():
        if name in known:
            yield from _forgotten(part, known[name], _inside(field, name))
        else:
            yield _inside(field, name), "gone, though documents hold it, and its name must not come free"
    if "items" in old and "items" in new:
        yield from _forgotten(old["items"], new["items"], f"{field}[]")


def _inside(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name


def _as_json(value: Any) -> str:
    """For comparing: in Python 1 is True, in JSON it is not."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
