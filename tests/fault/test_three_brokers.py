"""A cluster as a deployment has it: three brokers, three replicas, two of which must have a record before it counts."""

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from console.kafka_reading import open_admin
from console.topic_check import check_topics
from deploy.secrets import make_secrets
from schemas import topics
from tests.fault.load import Sent, has_come_to_its_end, send
from tests.fault.people import steady_load
from tests.fault.settling import settled
from tests.support.cluster import Cluster, running_cluster
from tests.support.running import RunningStack, eventually, running_stack
from tests.support.stack import in_containers, open_folder

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(in_containers(), reason="The brokers are processes of this machine"),
]
APPLICATIONS = 60
RECOVERY_SECONDS = 120
#: The slowest answer, asked for again and again.
ANSWER_SECONDS = 10


@pytest.fixture(scope="module")
def secrets() -> Iterator[Path]:
    with open_folder() as folder:
        make_secrets(folder / "secrets")
        yield folder / "secrets"


@pytest.fixture(scope="module")
def cluster(secrets: Path) -> Iterator[Cluster]:
    with open_folder() as folder, running_cluster(folder, secrets) as running:
        yield running


@pytest.fixture(scope="module")
async def on_three(cluster: Cluster, secrets: Path) -> AsyncIterator[RunningStack]:
    async with running_stack(cluster, secrets) as running:
        yield running


async def in_sync(cluster: Cluster) -> set[int]:
    """How many replicas have everything, of all partitions of business topics."""
    async with open_admin(cluster.access()) as admin:
        described = await admin.describe_topics([topic.name for topic in topics.BUSINESS])
    return {len(partition["isr"]) for topic in described for partition in topic["partitions"]}


async def is_complete(cluster: Cluster) -> bool:
    return await in_sync(cluster) == {3}


async def test_topics_have_three_replicas_and_need_two(cluster: Cluster, on_three: RunningStack) -> None:
    await eventually(lambda: is_complete(cluster), RECOVERY_SECONDS)
    assert await check_topics(cluster.access()) == []


@pytest.mark.parametrize("broker", range(3))
async def test_losing_any_one_broker_loses_nothing_and_work_goes_on(
    broker: int, cluster: Cluster, on_three: RunningStack, tmp_path: Path
) -> None:
    await eventually(lambda: is_complete(cluster), RECOVERY_SECONDS)
    contractor = await on_three.contractor(f"one-of-three-{uuid.uuid4().hex[:8]}")
    mails_before = await on_three.mails_by_message_id()

    async def kill_in_between(answered: int) -> None:
        if answered == APPLICATIONS // 3:
            cluster.nodes[broker].kill()

    meanwhile = Sent()
    async with steady_load(contractor, meanwhile):
        sent = await send(contractor, APPLICATIONS, after_each=kill_in_between)
        # Everything comes to its end while it is gone.
        await eventually(lambda: has_come_to_its_end(contractor, sent), RECOVERY_SECONDS)
    sent.add(meanwhile)
    assert sent.longest_wait_seconds < ANSWER_SECONDS, "applications are accepted meanwhile"
    cluster.return_(broker)

    await settled(on_three, contractor, sent, mails_before, tmp_path)


async def test_losing_two_stops_the_flow_openly_and_what_was_accepted_comes_when_they_are_back(
    cluster: Cluster, on_three: RunningStack, tmp_path: Path
) -> None:
    await eventually(lambda: is_complete(cluster), RECOVERY_SECONDS)
    contractor = await on_three.contractor(f"two-of-three-{uuid.uuid4().hex[:8]}")
    mails_before = await on_three.mails_by_message_id()
    cluster.nodes[0].kill()
    cluster.nodes[1].kill()

    sent = await send(contractor, APPLICATIONS)

    assert sent.longest_wait_seconds < ANSWER_SECONDS, "applications are accepted meanwhile"
    assert not await has_come_to_its_end(contractor, sent)
    waiting = await contractor.document(f"/api/applications/{next(iter(sent.ends))}")
    assert {product["status"] for product in waiting["products"]} == {"submitted"}

    async def says_so() -> bool:
        async with on_three.http("intake") as client:
            return (await client.get("/health/ready")).status_code == httpx.codes.SERVICE_UNAVAILABLE

    await eventually(says_so, RECOVERY_SECONDS)
    cluster.return_(0, 1)
    await settled(on_three, contractor, sent, mails_before, tmp_path)
