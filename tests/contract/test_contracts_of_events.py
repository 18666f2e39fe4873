"""What holds for every event, whatever it says."""

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas import (
    applications,
    certificates,
    data_keys,
    decisions,
    notifications,
    publish,
    registrations,
    topics,
    views,
)
from schemas.data_keys import DataKeyWrapped
from schemas.event import Event
from schemas.notifications import MailSent
from schemas.publish import Example

MODULES = (applications, certificates, data_keys, decisions, notifications, registrations, views)
DECLARED = [
    thing
    for module in MODULES
    for thing in vars(module).values()
    if isinstance(thing, type) and issubclass(thing, Event) and thing is not Event
]
EXAMPLES = [pytest.param(example, id=path.stem) for path, example in publish.examples()]
SECRET = "ひみつ-s3cr3t-𠮷"


def golden(event: type[Event]) -> Example:
    return next(example for _, example in publish.examples() if type(example.event()) is event)


@pytest.mark.parametrize("event", DECLARED)
def test_an_event_is_on_exactly_one_topic(event: type[Event]) -> None:
    assert [topic for topic in topics.BUSINESS if event in topic.events] == [topics.of_event(event)]


def test_every_subclass_of_event_is_declared_on_this_page() -> None:
    ours = {event for event in Event.__subclasses__() if event.__module__.startswith("schemas.")}

    assert ours == set(DECLARED)


def test_type_names_are_unique() -> None:
    assert len({event.type_name() for event in DECLARED}) == len(DECLARED)


@pytest.mark.parametrize("event", DECLARED)
def test_key_identity_and_time_are_required_fields(event: type[Event]) -> None:
    for name in (event.key_field, event.time_field, *event.identity_fields):
        assert event.model_fields[name].is_required(), name


@pytest.mark.parametrize("topic", topics.BUSINESS, ids=lambda topic: topic.name)
def test_events_of_one_topic_share_their_key(topic: topics.Topic) -> None:
    assert len({event.key_field for event in topic.events}) == 1


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_validation_error_never_repeats_the_input(example: Example) -> None:
    event = type(example.event())
    for broken in (*_each_field_replaced(example.value), SECRET, [SECRET]):
        try:
            event.model_validate_json(json.dumps(broken))
        except ValidationError as error:
            assert SECRET not in str(error)  # noqa: PT017 - many errors, one rule
            assert SECRET not in repr(error)  # noqa: PT017


def test_a_body_that_is_not_json_is_not_repeated_either() -> None:
    with pytest.raises(ValidationError) as caught:
        MailSent.model_validate_json(f'{{"letter": "{SECRET}" oops')

    assert SECRET not in str(caught.value)


def _each_field_replaced(value: Any) -> list[Any]:
    """Copies of the document, each with something secret where a field was, or without the field."""
    copies: list[Any] = []
    for name in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        for part in ({SECRET: SECRET}, SECRET * 1000, [SECRET], *_each_field_replaced(value[name])):
            copy = deepcopy(value)
            copy[name] = part
            copies.append(copy)
        if isinstance(value, dict):
            copies.append({other: part for other, part in value.items() if other != name} | {"unknown": SECRET})
    return copies


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_repeat_is_the_same_event_even_if_told_at_another_time(example: Example) -> None:
    event = example.event()
    told_again = event.model_copy(update={event.time_field: event.occurred_at.replace(year=2031)})

    assert told_again.event_id == event.event_id


@pytest.mark.parametrize("example", EXAMPLES)
@given(data=st.data())
def test_another_occurrence_is_another_event(example: Example, data: st.DataObject) -> None:
    event = example.event()
    name = data.draw(st.sampled_from(event.identity_fields))
    before = getattr(event, name)
    other = data.draw(
        (st.text("abc|-", min_size=1) if isinstance(before, str) else st.uuids()).filter(lambda it: it != before)
    )

    assert event.model_copy(update={name: other}).event_id != event.event_id


def test_events_of_two_types_about_one_application_differ() -> None:
    identified_by_application = [event for event in DECLARED if event.identity_fields == ("application_id",)]
    one = golden(identified_by_application[0]).event().key

    ids = {
        golden(event).event().model_copy(update={"application_id": one}).event_id for event in identified_by_application
    }

    assert len(ids) == len(identified_by_application)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_event_cannot_be_changed(example: Example) -> None:
    event = example.event()

    with pytest.raises(ValidationError):
        setattr(event, event.time_field, None)


def test_the_golden_secrets_are_sealed() -> None:
    wrapped = golden(DataKeyWrapped).event()

    assert isinstance(wrapped, DataKeyWrapped)
    assert {key.reader for key in wrapped.wrapped_for} == set(topics.DATA_KEYS.readers)
    assert not [example for _, example in publish.examples() if "@takasaki" in json.dumps(example.value)]
