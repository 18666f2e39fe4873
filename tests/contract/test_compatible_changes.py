"""Is every break of a contract found, with field and direction, and is nothing called compatible that is not?"""

from typing import Annotated, Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # it has no types
from pydantic import BaseModel, ConfigDict, Field, create_model

from schemas.compatibility import Break, Direction, RecursiveSchema, breaks

BACKWARD, FORWARD = Direction.BACKWARD, Direction.FORWARD
Schema = dict[str, Any]
REQUIRED: Any = ...


class Product(BaseModel):
    code: str
    amount: Annotated[int, Field(ge=0, le=100)]


class Closed(Product):
    model_config = ConfigDict(extra="forbid")


class ProductWithForm(Product):
    form: str


class ProductWithOptionalForm(Product):
    form: str | None = None


class ProductWithoutAmount(BaseModel):
    code: str


def schema(**fields: Any) -> Schema:
    """A document with these fields: `(type, default)` or `(type, ...)`."""
    document: type[BaseModel] = create_model("Submitted", **fields)
    return document.model_json_schema()


def found(old: Schema, new: Schema) -> set[tuple[Direction, str]]:
    return {(one.direction, one.field) for one in breaks(old, new)}


A_LINE = Annotated[str, Field(min_length=1, max_length=200)]
A_NUMBER = Annotated[str, Field(pattern=r"^\d{5}$")]

COMPATIBLE = {
    "nothing changed": ({"a": (str, REQUIRED)}, {"a": (str, REQUIRED)}),
    "optional added": ({"a": (str, REQUIRED)}, {"a": (str, REQUIRED), "b": (int | None, None)}),
    "field with default added": ({"a": (str, REQUIRED)}, {"a": (str, REQUIRED), "b": (str, "")}),
    "list with default added": ({}, {"b": (tuple[Product, ...], ())}),
    "optional added inside": ({"p": (Product, REQUIRED)}, {"p": (ProductWithOptionalForm, REQUIRED)}),
    "optional added in a list": (
        {"p": (tuple[Product, ...], REQUIRED)},
        {"p": (tuple[ProductWithOptionalForm, ...], REQUIRED)},
    ),
    "optional added in an optional": (
        {"p": (Product | None, None)},
        {"p": (ProductWithOptionalForm | None, None)},
    ),
    "another description": (
        {"a": (Annotated[str, Field(description="once")], REQUIRED)},
        {"a": (Annotated[str, Field(description="now")], REQUIRED)},
    ),
    "another order": (
        {"a": (str, REQUIRED), "b": (int | None, None)},
        {"b": (int | None, None), "a": (str, REQUIRED)},
    ),
}

BREAKING = {
    "required added": ({}, {"a": (str, REQUIRED)}, {(BACKWARD, "a")}),
    "optional became required": ({"a": (str, "")}, {"a": (str, REQUIRED)}, {(BACKWARD, "a")}),
    "required became optional": ({"a": (str, REQUIRED)}, {"a": (str, "")}, {(FORWARD, "a")}),
    "required removed": ({"a": (str, REQUIRED)}, {}, {(BACKWARD, "a"), (FORWARD, "a")}),
    "optional removed": ({"a": (str, "")}, {}, {(BACKWARD, "a")}),
    "renamed": ({"a": (str, REQUIRED)}, {"b": (str, REQUIRED)}, {(BACKWARD, "a"), (BACKWARD, "b"), (FORWARD, "a")}),
    "type changed": ({"a": (str, REQUIRED)}, {"a": (int, REQUIRED)}, {(BACKWARD, "a"), (FORWARD, "a")}),
    "number narrowed to integer": ({"a": (float, REQUIRED)}, {"a": (int, REQUIRED)}, {(BACKWARD, "a")}),
    "integer widened to number": ({"a": (int, REQUIRED)}, {"a": (float, REQUIRED)}, {(FORWARD, "a")}),
    "null no longer read": ({"a": (str | None, REQUIRED)}, {"a": (str, REQUIRED)}, {(BACKWARD, "a")}),
    "null allowed": ({"a": (str, REQUIRED)}, {"a": (str | None, REQUIRED)}, {(FORWARD, "a")}),
    "another alternative": (
        {"a": (int | None, None)},
        {"a": (int | str | None, None)},
        {(FORWARD, "a")},
    ),
    "bounds added": ({"a": (str, REQUIRED)}, {"a": (A_LINE, REQUIRED)}, {(BACKWARD, "a")}),
    "bounds dropped": ({"a": (A_LINE, REQUIRED)}, {"a": (str, REQUIRED)}, {(FORWARD, "a")}),
    "maximum lowered": (
        {"a": (Annotated[int, Field(le=10)], REQUIRED)},
        {"a": (Annotated[int, Field(le=9)], REQUIRED)},
        {(BACKWARD, "a")},
    ),
    "minimum lowered": (
        {"a": (Annotated[int, Field(ge=10)], REQUIRED)},
        {"a": (Annotated[int, Field(ge=9)], REQUIRED)},
        {(FORWARD, "a")},
    ),
    "pattern added": ({"a": (str, REQUIRED)}, {"a": (A_NUMBER, REQUIRED)}, {(BACKWARD, "a")}),
    "pattern changed": (
        {"a": (A_NUMBER, REQUIRED)},
        {"a": (Annotated[str, Field(pattern="^x$")], REQUIRED)},
        {(BACKWARD, "a"), (FORWARD, "a")},
    ),
    "format dropped": (
        {"a": (Annotated[str, Field(json_schema_extra={"format": "uuid"})], REQUIRED)},
        {"a": (str, REQUIRED)},
        {(FORWARD, "a")},
    ),
    "value listed": ({"a": (Literal["x", "y"], REQUIRED)}, {"a": (Literal["x", "y", "z"], REQUIRED)}, {(FORWARD, "a")}),
    "value unlisted": ({"a": (Literal["x", "y"], REQUIRED)}, {"a": (Literal["x"], REQUIRED)}, {(BACKWARD, "a")}),
    "default changed": ({"a": (str, "")}, {"a": (str, "x")}, {(BACKWARD, "a"), (FORWARD, "a")}),
    "required added inside": ({"p": (Product, REQUIRED)}, {"p": (ProductWithForm, REQUIRED)}, {(BACKWARD, "p.form")}),
    "removed inside an optional": (
        {"p": (Product | None, None)},
        {"p": (ProductWithoutAmount | None, None)},
        {(BACKWARD, "p.amount"), (FORWARD, "p.amount")},
    ),
    "required added in a list": (
        {"p": (tuple[Product, ...], REQUIRED)},
        {"p": (tuple[ProductWithForm, ...], REQUIRED)},
        {(BACKWARD, "p[].form")},
    ),
    "list shortened": (
        {"p": (list[str], REQUIRED)},
        {"p": (Annotated[list[str], Field(max_length=3)], REQUIRED)},
        {(BACKWARD, "p")},
    ),
    "list of something else": (
        {"p": (list[str], REQUIRED)},
        {"p": (list[int], REQUIRED)},
        {(BACKWARD, "p[]"), (FORWARD, "p[]")},
    ),
    "one became many": ({"p": (str, REQUIRED)}, {"p": (list[str], REQUIRED)}, {(BACKWARD, "p"), (FORWARD, "p")}),
    "mapping of something else": (
        {"p": (dict[str, str], REQUIRED)},
        {"p": (dict[str, int], REQUIRED)},
        {(BACKWARD, "p.*"), (FORWARD, "p.*")},
    ),
    "tuple changed": (
        {"p": (tuple[str, int], REQUIRED)},
        {"p": (tuple[str, str], REQUIRED)},
        {(BACKWARD, "p"), (FORWARD, "p")},
    ),
}


@pytest.mark.parametrize(("old", "new"), COMPATIBLE.values(), ids=COMPATIBLE)
def test_a_compatible_change_passes(old: Schema, new: Schema) -> None:
    assert breaks(schema(**old), schema(**new)) == ()


@pytest.mark.parametrize(("old", "new", "expected"), BREAKING.values(), ids=BREAKING)
def test_a_break_is_found_with_its_field_and_direction(
    old: Schema, new: Schema, expected: set[tuple[Direction, str]]
) -> None:
    assert found(schema(**old), schema(**new)) == expected


def test_a_reader_that_forbids_unknown_fields_breaks_with_any_new_one() -> None:
    old, new = schema(p=(Closed, REQUIRED)), schema(p=(ProductWithOptionalForm, REQUIRED))

    assert found(old, new) == {(FORWARD, "p.form")}


def test_a_break_says_what_and_which_way() -> None:
    (one,) = breaks(schema(a=(str, REQUIRED)), schema(a=(A_NUMBER, REQUIRED)))

    assert one == Break(BACKWARD, "a", r"pattern none is written, ^\d{5}$ is read")
    assert str(one) == r"a: pattern none is written, ^\d{5}$ is read (BACKWARD, old documents and new reader)"


def test_a_keyword_that_cannot_be_judged_must_stay() -> None:
    old = {"type": "object", "not": {"required": ["a"]}}

    assert breaks(old, old) == ()
    assert found(old, {"type": "object"}) == {(BACKWARD, ""), (FORWARD, "")}


def test_what_is_hidden_under_a_keyword_that_cannot_be_judged_is_compared_too() -> None:
    def choice(part: Schema) -> Schema:
        return {"oneOf": [{"$ref": "#/$defs/Part"}], "$defs": {"Part": part}}

    assert breaks(choice({"type": "string"}), choice({"type": "integer"}))


def test_a_field_may_be_called_like_a_keyword() -> None:
    before = schema(title=(str, REQUIRED), description=(str, REQUIRED))

    assert found(before, schema(title=(int, REQUIRED), description=(str, REQUIRED))) == {
        (BACKWARD, "title"),
        (FORWARD, "title"),
    }


def test_a_value_may_hold_what_elsewhere_is_a_note() -> None:
    assert breaks({"enum": [{"title": "old"}]}, {"enum": [{"title": "new"}]})


def test_one_is_not_true() -> None:
    assert breaks({"enum": [1]}, {"enum": [True]})


def test_a_document_that_holds_itself_is_refused() -> None:
    tree = {"$ref": "#/$defs/Tree", "$defs": {"Tree": {"properties": {"left": {"$ref": "#/$defs/Tree"}}}}}

    with pytest.raises(RecursiveSchema):
        breaks(tree, tree)


# Small schemas with their documents, so that changes often are compatible, and often are not.

NAMES = ("a", "b")


def leaves() -> st.SearchStrategy[Schema]:
    bounds = st.integers(0, 2)
    return st.one_of(
        st.just({}),
        st.sampled_from([{"type": "null"}, {"type": "boolean"}, {"type": "number"}]),
        st.fixed_dictionaries({"type": st.just("integer")}, optional={"minimum": bounds, "maximum": bounds}),
        st.fixed_dictionaries(
            {"type": st.just("string")},
            optional={"minLength": bounds, "maxLength": bounds, "pattern": st.sampled_from(["^x*$", "^y*$"])},
        ),
        st.fixed_dictionaries({"enum": st.lists(st.sampled_from([1, True, "x", None]), min_size=1, max_size=3)}),
        st.fixed_dictionaries({"const": st.sampled_from([0, 1, "x"])}),
    )


def branches(parts: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    properties = st.dictionaries(st.sampled_from(NAMES), parts)
    objects = properties.flatmap(
        lambda named: st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.just(named)},
            optional={
                "required": st.lists(st.sampled_from(sorted(named)), unique=True) if named else st.just([]),
                "additionalProperties": st.booleans() | parts,
            },
        )
    )
    arrays = st.fixed_dictionaries(
        {"type": st.just("array")},
        optional={"items": parts, "maxItems": st.integers(0, 2), "minItems": st.integers(0, 1)},
    )
    choices = st.fixed_dictionaries({"anyOf": st.lists(parts, min_size=1, max_size=2)})
    return st.one_of(objects, arrays, choices)


SCHEMAS = st.recursive(leaves(), branches, max_leaves=4)


ANYTHING: st.SearchStrategy[Any] = st.sampled_from([None, True, 0, 1, 1.5, "", "x", "yy", [], ["x"], {}, {"a": 1}])
PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "integer": st.integers(-1, 3),
    "number": st.sampled_from([0, 1, 0.5]),
    "string": st.sampled_from(["", "x", "xx", "xxx", "y", "yy", "z"]),
}


def written_by(schema: Any) -> st.SearchStrategy[Any]:
    """Documents of a writer: with the fields it knows, and with others only if its schema says so."""
    if isinstance(schema, bool):
        return ANYTHING if schema else st.nothing()
    if "anyOf" in schema:
        return st.one_of([written_by(part) for part in schema["anyOf"]])
    if "type" not in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]]) if schema else ANYTHING
    if schema["type"] == "array":
        return st.lists(written_by(schema.get("items", True)), max_size=3)
    return objects_by(schema) if schema["type"] == "object" else PLAIN[schema["type"]]


def objects_by(schema: Schema) -> st.SearchStrategy[Any]:
    known = {name: written_by(part) for name, part in schema["properties"].items()}
    required = {name: known.pop(name) for name in schema.get("required", ())}
    others = written_by(schema.get("additionalProperties", False))
    names = st.sampled_from([name for name in ("c", *NAMES) if name not in schema["properties"]])
    named = st.fixed_dictionaries(required, optional={name: part for name, part in known.items() if not part.is_empty})
    more = st.just({}) if others.is_empty else st.dictionaries(names, others, max_size=2)
    return st.builds(lambda one, other: one | other, more, named)


@given(data=st.data())
@settings(max_examples=300, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
def test_what_is_called_compatible_never_breaks_a_reader(data: st.DataObject) -> None:
    old, new = data.draw(SCHEMAS), data.draw(SCHEMAS)
    directions = {one.direction for one in breaks(old, new)}
    for direction, writer, reader in ((BACKWARD, old, new), (FORWARD, new, old)):
        if direction in directions:
            continue
        document = data.draw(written_by(writer) | st.none())
        if Draft202012Validator(writer).is_valid(document):
            assert Draft202012Validator(reader).is_valid(document), (direction, document)


@given(SCHEMAS)
def test_no_change_is_no_break(schema: Schema) -> None:
    assert breaks(schema, schema) == ()
