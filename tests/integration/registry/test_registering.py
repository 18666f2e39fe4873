"""HIS-2, CERT-1: a certificate arrives once, as it was issued, and is told with our time."""

import asyncio
import json
import uuid

import pytest

from schemas.registrations import CertificateRegistered
from tests.support.builders import a_certificate, a_contract_number, a_record
from tests.support.consuming import a_consumer, parked, statements_of
from tests.support.services import make_service


@pytest.fixture
def take(registry):
    async def take_these(*events):
        await a_consumer(registry.service, registry.pool).take([a_record(event) for event in events])

    return take_these


async def rows(registry):
    return await registry.pool.fetch("SELECT * FROM certificate ORDER BY contract_number, version")


async def test_a_certificate_is_kept_to_the_byte_and_its_arrival_told(registry, take, keys):
    event = a_certificate(keys=keys)

    await take(event)

    (row,) = await rows(registry)
    (told,) = [
        CertificateRegistered.model_validate_json(value) for value in await registry.outbox("CertificateRegistered")
    ]
    assert row["content"] == event.content.canonical().decode()
    assert told.registered_at == row["registered_at"]
    assert (told.certificate_id, told.content_sha256) == (event.certificate_id, event.content_sha256)


async def test_a_second_delivery_registers_and_tells_nothing_more(registry, take, keys):
    events = [a_certificate(keys=keys) for _ in range(3)]
    await take(*events)
    before = await rows(registry)

    await take(*events)

    assert await rows(registry) == before
    assert len(await registry.outbox("CertificateRegistered")) == 3


async def test_the_same_certificate_twice_in_one_poll_is_told_once(registry, take, keys):
    event = a_certificate(keys=keys)

    await take(event, event)

    assert len(await registry.outbox("CertificateRegistered")) == 1


async def test_the_same_poll_in_two_transactions_at_once_registers_each_once(registry, take, keys):
    events = [a_certificate(keys=keys) for _ in range(30)]

    await asyncio.gather(take(*events), take(*reversed(events)))

    assert len(await rows(registry)) == len(await registry.outbox("CertificateRegistered")) == 30


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"content_sha256": "0" * 64}, "content_does_not_match"),
        ({"contract_number": a_contract_number(99)}, "content_is_of_another"),
        ({"version": 2}, "content_is_of_another"),
    ],
)
async def test_an_event_that_contradicts_itself_is_parked(change, reason, registry, take, keys):
    await take(a_certificate(keys=keys, **change))

    assert await rows(registry) == []
    assert [why for why, _ in await parked(registry.pool)] == [reason]


async def test_a_number_whose_check_character_is_wrong_is_parked(registry, take, keys):
    right = a_contract_number()
    wrong = right[:-1] + ("0" if right[-1] != "0" else "1")

    await take(a_certificate(keys=keys, contract=wrong))

    assert [why for why, _ in await parked(registry.pool)] == ["contract_number_is_wrong"]


async def test_another_certificate_under_the_same_id_is_parked_and_the_first_stays(registry, take, keys):
    first = a_certificate(keys=keys)
    other = a_certificate(
        keys=keys,
        certificate_id=first.certificate_id,
        contract=first.contract_number,
        application_id=first.application_id,
        content={"amount_yen": 1},
    )
    await take(first)

    await take(other)

    assert [why for why, _ in await parked(registry.pool)] == ["certificate_differs_from_recorded"]
    assert [row["content_sha256"] for row in await rows(registry)] == [first.content_sha256]


@pytest.mark.parametrize("polls", [1, 2])
async def test_the_same_certificate_with_another_key_is_parked_and_the_first_stays(polls, registry, take, keys):
    first = a_certificate(keys=keys)
    other = a_certificate(
        keys=keys,
        key="Z28YUE4J3Buy",
        certificate_id=first.certificate_id,
        contract=first.contract_number,
        application_id=first.application_id,
    )
    for events in [[first, other]] if polls == 1 else [[first], [other]]:
        await take(*events)

    assert [why for why, _ in await parked(registry.pool)] == ["certificate_differs_from_recorded"]
    assert [row["key_digest"] for row in await rows(registry)] == [first.authentication_key.digest]


@pytest.mark.parametrize("same", ["contract", "application_id"])
async def test_a_second_certificate_for_the_same_contract_or_product_is_parked(same, registry, take, keys):
    first = a_certificate(keys=keys)
    shared = {"contract": first.contract_number} if same == "contract" else {"application_id": first.application_id}

    await take(first)
    await take(a_certificate(keys=keys, certificate_id=uuid.uuid4(), **shared))

    assert [why for why, _ in await parked(registry.pool)] == ["database:UniqueViolationError"]
    assert [row["certificate_id"] for row in await rows(registry)] == [first.certificate_id]


async def test_the_same_key_sealed_again_is_the_same_certificate(registry, take, keys):
    first = a_certificate(keys=keys)
    again = a_certificate(
        keys=keys,
        certificate_id=first.certificate_id,
        contract=first.contract_number,
        application_id=first.application_id,
    )

    await take(first, again)

    assert await parked(registry.pool) == []


async def test_a_poll_of_200_costs_as_many_statements_as_a_poll_of_2(databases, keys):
    await databases.fresh("registry")

    def a_poll(count):
        fresh = [a_record(a_certificate(keys=keys)) for _ in range(count)]
        return [*fresh, fresh[0]]  # a repeat in each

    service = make_service("registry", databases, keys)
    small, large = await statements_of(service, databases, a_poll(2), a_poll(2), a_poll(200))

    assert small == large
    # Two more than before there was a log: its head is locked, then head, leaves and tiles are written at once.
    assert 0 < len(small) < 12


async def test_no_key_is_kept(registry, take, keys):
    await take(a_certificate(keys=keys, key="Z28YUE4J3Bux"))

    kept = [json.dumps(dict(row), default=str) for row in await rows(registry)]
    assert all("Z28YUE4J3Bux" not in row for row in kept + await registry.outbox("CertificateRegistered"))
