"""A message of every version that was ever published is taken by a replay, as the service took it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from console.audit.keeping import Keeping
from console.audit.replay import replay
from console.audit.replay_facts import TOPICS
from console.audit.replay_intake import IntakeKeeps
from console.audit.replay_issuer import IssuerKeeps
from console.audit.replay_kept import replay_kept
from console.audit.replay_notifier import NotifierKeeps
from console.environment import Stack
from schemas import publish
from schemas.applications import ApplicationSubmitted
from schemas.certificates import CertificateIssued
from schemas.registrations import CertificateRegistered
from schemas.views import CertificateViewed
from services.registry import store as registry_store
from services.registry.checking import recorded_of
from services.registry.handlers import draw_salt
from services.registry.log import appending
from tests.integration.console.world import World, open_world, stack_of_its_own

EXAMPLES = [example for _, example in publish.examples()]
ACCOUNT = "INSERT INTO account (id, role, subject_id, person) VALUES ($1, 'purchaser', $2, '見本')"
VIEW = "INSERT INTO view (view_id, certificate_id, account_id, viewed_at) VALUES ($1, $2, $3, $4)"


@pytest.fixture(scope="module")
def empty() -> Iterator[Stack]:
    with stack_of_its_own() as stack:
        yield stack


@pytest.fixture(scope="module")
async def told(empty: Stack) -> Stack:
    """The golden messages on their topics, and a registry that took them before it had a log."""
    async with AIOKafkaProducer(**empty.kafka_administrator.options()) as producer:
        for example in EXAMPLES:
            headers = [(name, value.encode()) for name, value in example.headers.items()]
            value = json.dumps(example.value, ensure_ascii=False).encode()
            await producer.send_and_wait(example.topic.name, value, key=example.key.encode(), headers=headers)
    async with open_world(empty) as world:
        await _take(world)
    return empty


def _of(event: type[Any]) -> list[Any]:
    return [found for example in EXAMPLES if isinstance(found := example.event(), event)]


async def _take(world: World) -> None:
    at = {one.certificate_id: one.registered_at for one in _of(CertificateRegistered)}
    async with world.registry.transaction():
        rows = [(recorded_of(one), at[one.certificate_id]) for one in _of(CertificateIssued)]
        await registry_store.add_certificates(world.registry, rows)
        for view in _of(CertificateViewed):
            await world.registry.execute(ACCOUNT, view.viewed_by, view.purchaser_id)
            await world.registry.execute(VIEW, view.view_id, view.certificate_id, view.viewed_by, view.viewed_at)
        ids = [one.certificate_id for one in _of(CertificateIssued)]
        await appending.append_old_certificates(world.registry, ids, [draw_salt() for _ in ids])
        views = [one.view_id for one in _of(CertificateViewed)]
        await appending.append_old_views(world.registry, views, [draw_salt() for _ in views])
    await world.sign()


async def test_the_registry_is_made_of_them(told: Stack) -> None:
    found = await replay(told)

    assert found.differences == ()
    assert (dict(found.unreadable), found.unregistered) == ({}, 0)
    assert (found.certificates, found.views, found.taken_over) == (1, 1, 3)
    assert {example.topic for example in EXAMPLES} >= set(TOPICS)


@pytest.mark.parametrize("keeps", [IssuerKeeps, IntakeKeeps, NotifierKeeps])
async def test_every_service_takes_them_again(told: Stack, keeps: type[Keeping]) -> None:
    """Nothing is in its tables here: whatever the replay makes of them must be held, or is on its way."""
    applications = {str(one.application_id) for one in _of(ApplicationSubmitted)}
    told_here = [one for one in EXAMPLES if one.topic in keeps.topics]
    of_nobody = [one for one in told_here if one.value["application_id"] not in applications]

    found = await replay_kept(told, keeps)

    assert dict(found.unreadable) == {}
    assert sum(found.refused.values()) <= len(of_nobody), "an application that no golden message submits"
    # Its domain is not this stack's.
    assert {one.kind for one in found.differences} - {"mail.message_id_differs"} == {
        one.kind for one in found.differences if one.kind.endswith("_is_missing")
    }
    assert sum(found.rows.values()) > 0
