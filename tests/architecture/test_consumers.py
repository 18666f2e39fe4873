"""No subscriber may lose what it could not take, and nothing is created behind our back."""

import pytest
from faststream import AckPolicy

from chassis.consumer import make_broker, subscribe
from console.services import SERVICES, make_service
from schemas import topics
from tests.support.consuming import a_consumer
from tests.support.services import NOWHERE


@pytest.fixture(scope="module", params=SERVICES)
def service(request):
    return make_service(request.param)


@pytest.fixture
def broker(service):
    """The broker object of a service, with its subscribers, as its lifespan makes it."""
    made = make_broker(NOWHERE, client_id="test", drain_seconds=1)
    for reading in service.readings:
        subscribe(made, a_consumer(service, None, reading=reading), batch_records=500)
    return made


def test_every_subscriber_gives_back_what_it_could_not_take(broker):
    assert broker.subscribers
    assert {subscriber.ack_policy for subscriber in broker.subscribers} == {AckPolicy.NACK_ON_ERROR}


def test_every_subscriber_begins_at_the_beginning_and_commits_by_hand(broker):
    for subscriber in broker.subscribers:
        assert subscriber._connection_args["auto_offset_reset"] == "earliest"
        assert subscriber._connection_args["enable_auto_commit"] is False


def test_no_broker_creates_topics(broker):
    assert broker.config.broker_config.allow_auto_create_topics is False


def test_a_service_subscribes_to_what_the_topics_page_says_and_to_its_own_redrive(service, broker):
    group = service.runtime.service
    expected = {*(topic.name for topic in topics.read_by(group)), topics.redrive(group)}

    assert {name for subscriber in broker.subscribers for name in subscriber.topic_names} == expected


def test_every_event_that_a_service_handles_is_on_a_topic_that_it_reads(service):
    for reading in service.readings:
        for kind in reading.handlers:
            assert topics.of_event(kind) in topics.read_by(reading.group)


def test_who_reads_a_topic_with_tombstones_forgets(service):
    for reading in service.readings:
        if any(topic.tombstones for topic in topics.read_by(reading.group)):
            assert reading.forget is not None
