"""One application through the whole stack, as each party sees it."""

import json
import uuid
from email.message import EmailMessage

import pytest
from aiokafka import AIOKafkaConsumer

from schemas import topics
from tests.fault.load import has_come_to_its_end, mails_told, nth_form, send
from tests.support.builders import an_application_form
from tests.support.running import RunningStack, eventually, log_lines

NEEDED = {"ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject", "ce_time", "ce_dataschema"}


async def _contractor(stack: RunningStack, name: str):
    return await stack.contractor(f"{name}-{uuid.uuid4().hex[:8]}")


async def _records(stack: RunningStack, needle: str):
    """Every record on a business topic that holds the text, as a plain Kafka client reads it."""
    consumer = AIOKafkaConsumer(
        *(topic.name for topic in topics.BUSINESS),
        **stack.console.kafka.options(),
        auto_offset_reset="earliest",
        group_id=None,
    )
    found = []
    async with consumer:
        partitions = consumer.assignment()
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                found += [record for record in batch if needle.encode() in (record.value or b"")]
    return found


def _text(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


async def test_one_correlation_id_leads_from_the_request_to_the_mail(stack: RunningStack) -> None:
    contractor = await _contractor(stack, "correlated")
    correlation = f"corr-{uuid.uuid4().hex}"
    form, _, _ = nth_form(1)
    answer = await contractor.call(
        "POST", "/api/applications", form, **{"Idempotency-Key": uuid.uuid4().hex, "X-Correlation-ID": correlation}
    )
    assert answer.headers["x-correlation-id"] == correlation

    async def mailed() -> bool:
        return await mails_told(contractor, "sent") == 1

    await eventually(mailed, 60)
    for service in ("intake", "issuer", "registry", "notifier"):
        assert any(line.get("correlation_id") == correlation for line in log_lines(stack, service)), service
    number = (await contractor.all_items("/api/guarantees"))[0]["contract_number"]
    mails = [await stack.mail(mail["ID"]) for mail in (await stack.mails())[:50]]
    about = [mail for mail in mails if number in _text(mail)]
    assert [mail["X-Akashi-Correlation-Id"] for mail in about] == [correlation]


async def test_a_plain_kafka_client_sees_cloud_events(stack: RunningStack) -> None:
    contractor = await _contractor(stack, "plain")
    sent = await send(contractor, 1)
    await eventually(lambda: has_come_to_its_end(contractor, sent), 60)
    (application_id,) = sent.ends

    records = await _records(stack, application_id)

    assert {record.topic for record in records} >= {
        topics.APPLICATIONS.name,
        topics.DATA_KEYS.name,
        topics.DECISIONS.name,
        topics.CERTIFICATES.name,
        topics.REGISTRATIONS.name,
    }
    for record in records:
        headers = dict(record.headers)
        assert headers.keys() >= NEEDED
        assert headers["ce_specversion"] == b"1.0"
        assert headers["content-type"].startswith(b"application/json")
        assert headers["ce_subject"] == record.key
        assert isinstance(json.loads(record.value), dict)
    assert len({dict(record.headers)["ce_correlationid"] for record in records}) == 1
    assert len({dict(record.headers)["traceparent"].split(b"-")[1] for record in records}) == 1


async def test_neither_number_nor_key_shows_before_the_certificate_has_arrived(stack: RunningStack) -> None:
    contractor = await _contractor(stack, "early")
    # Above the limit, so that it waits for the desk.
    form = an_application_form(products__advance_payment__amount_yen=25_000_000)
    application_id = await contractor.apply(form, uuid.uuid4().hex)

    async def queued():
        return (await contractor.document(f"/api/applications/{application_id}"))["status"] == "queued"

    await eventually(queued, 30)
    product = (await contractor.document(f"/api/applications/{application_id}"))["products"][0]
    assert (product["status"], product["contract_number"], product["registered_at"]) == ("queued", None, None)
    assert await contractor.all_items("/api/guarantees") == []


async def test_an_application_can_be_withdrawn_while_it_waits_and_sent_again(stack: RunningStack) -> None:
    contractor = await _contractor(stack, "withdrawn")
    form = an_application_form(products__advance_payment__amount_yen=25_000_000)
    application_id = await contractor.apply(form, uuid.uuid4().hex)
    path = f"/api/applications/{application_id}"

    async def has(status: str):
        return (await contractor.document(path))["status"] == status

    await eventually(lambda: has("queued"), 30)
    asked = await contractor.call("POST", f"{path}/withdrawal", **{"Idempotency-Key": uuid.uuid4().hex})
    assert asked.status_code == 202
    await eventually(lambda: has("withdrawn"), 30)

    again = await contractor.call("POST", "/api/applications", form, **{"Idempotency-Key": uuid.uuid4().hex})
    assert (again.status_code, again.json()["application_id"]) == (409, application_id)
    await contractor.apply({**form, "replaces": application_id}, uuid.uuid4().hex)


@pytest.mark.parametrize("service", ["intake", "issuer", "registry", "notifier"])
async def test_every_service_shows_metrics_and_health(stack: RunningStack, service: str) -> None:
    async with stack.http(service) as client:
        metrics = await client.get("/metrics")
        live = await client.get("/health/live")
        ready = await client.get("/health/ready")

    assert "akashi_outbox_published_total" in metrics.text
    assert live.json() == {"live": True, "stale": []}
    assert ready.json() == {"ready": True, "missing": []}


async def test_the_auditor_agrees(stack: RunningStack) -> None:
    assert (await stack.audit()).differences == ()
