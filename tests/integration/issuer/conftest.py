"""An issuer's handlers on a fresh database, with a clock that stands still."""

import json

import pytest

from chassis.outbox import Outbox
from chassis.postgres import transaction
from schemas import topics
from services.issuer import handlers
from services.issuer.issuance import Issuing
from services.issuer.minting import KeyMint
from tests.support.builders import a_performance_product, a_product, a_record, an_application, received
from tests.support.consuming import a_consumer


class Issuer:
    """Decides batches, and tells what was announced."""

    def __init__(self, pool, issuing):
        self.pool = pool
        self.issuing = issuing

    async def decide(self, *events):
        async with transaction(self.pool) as tx:
            await handlers.decide_applications(tx, [received(event) for event in events], issuing=self.issuing)

    async def answer(self, *requests):
        async with transaction(self.pool) as tx:
            await handlers.answer_withdrawals(tx, [received(request) for request in requests], issuing=self.issuing)

    async def told(self, kind):
        """The events of one type in the outbox, oldest first."""
        rows = await self.pool.fetch("SELECT topic, value, headers FROM outbox ORDER BY id")
        return [
            kind.model_validate_json(row["value"])
            for row in rows
            if row["topic"] == topics.of_event(kind).name
            and dict(json.loads(row["headers"]))["ce_type"] == kind.type_name()
        ]


@pytest.fixture
def desk_of(issuer_pool, reference, keys, clock):
    """An issuer over a pool of one's own choice."""

    def make(pool=issuer_pool):
        mint = KeyMint(keys.pepper, keys.public_key("intake"))
        return Issuer(pool, Issuing(reference=reference, clock=clock, outbox=Outbox("issuer"), mint=mint))

    return make


@pytest.fixture
def rules(desk_of):
    return desk_of()


@pytest.fixture
def take(issuer):
    """Hands events to the issuer's consumer, as a poll."""

    async def take_these(*events):
        await a_consumer(issuer.service, issuer.pool).take([a_record(event) for event in events])

    return take_these


@pytest.fixture
def waiting():
    """An application above a limit, by default at the surety where one person decides."""

    def make(application_id=None, **changes):
        products = (a_product(ratio_percent="40.1"), a_performance_product())
        return an_application(application_id, **{"products": products, **changes})

    return make


@pytest.fixture
def two_must_agree(waiting):
    """The same at the surety that asks for four eyes."""

    def make(application_id=None, **changes):
        at_nankai = {"surety_id": "nankai", "branch_id": "okinawa", "works__purchaser_id": "yomitan"}
        return waiting(application_id, **{**at_nankai, **changes})

    return make
