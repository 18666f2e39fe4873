"""Where do the tests find their broker and database?

`AKASHI_TEST_STACK=local` (the default) starts both on this machine without Docker; `containers` lets testcontainers do
it. Either way they are real, and gone when the session ends.
"""

import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from chassis.kafka import KafkaAccess
from deploy.local.kafka import LocalKafka
from deploy.local.postgres import LocalPostgres
from deploy.local.state import free_port

KAFKA_IMAGE: Final = "apache/kafka:4.3.1"
POSTGRES_IMAGE: Final = "postgres:17-trixie"

#: No test asks what a power cut leaves behind, and without fsync a fresh database costs milliseconds.
HASTE: Final = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")


class Broker(ABC):
    """A Kafka broker that a test may take away and give back."""

    access: KafkaAccess

    @abstractmethod
    def crash(self) -> None:
        """Be gone at once, with every connection; what was acknowledged stays."""

    @abstractmethod
    def return_(self) -> None:
        """Serve again at the same address."""


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server and its superuser's password."""

    host: str
    port: int
    password: str


@dataclass(frozen=True)
class Stack:
    broker: Broker
    server: Server


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that a server running as `nobody` can enter; pytest's own is closed to it."""
    folder = Path(tempfile.mkdtemp(prefix="akashi-test-", dir="/var/tmp" if os.geteuid() == 0 else None))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def running_broker() -> Iterator[Broker]:
    with ExitStack() as opened:
        if in_containers():
            container = opened.enter_context(_KafkaContainer())
            yield _ContainerBroker(container)
        else:
            folder = opened.enter_context(open_folder())
            kafka = opened.enter_context(LocalKafka(folder, free_port()))
            # Nobody reads its folder again: no need to close it in order.
            opened.callback(kafka.kill)
            yield _LocalBroker(kafka)


@contextmanager
def running_server() -> Iterator[Server]:
    with ExitStack() as opened:
        if in_containers():
            postgres = PostgresContainer(POSTGRES_IMAGE, username="postgres", driver=None)
            postgres.with_command(["postgres", *HASTE, "-c", "max_connections=200"])
            opened.enter_context(postgres)
            yield Server(
                postgres.get_container_host_ip(), int(postgres.get_exposed_port(postgres.port)), postgres.password
            )
        else:
            folder = opened.enter_context(open_folder())
            local = opened.enter_context(_HastyPostgres(folder, free_port()))
            yield Server("127.0.0.1", local.port, local.admin_password)


def in_containers() -> bool:
    chosen = os.environ.get("AKASHI_TEST_STACK", "local")
    assert chosen in ("local", "containers"), f"AKASHI_TEST_STACK is {chosen!r}: it may be local or containers"
    return chosen == "containers"


class _HastyPostgres(LocalPostgres):
    def command(self) -> list[str]:
        return [*super().command(), *HASTE]


class _LocalBroker(Broker):
    def __init__(self, kafka: LocalKafka) -> None:
        self._kafka = kafka
        self.access = kafka.access("")

    def crash(self) -> None:
        self._kafka.kill()

    def return_(self) -> None:
        self._kafka.start()


class _KafkaContainer(DockerContainer):
    """Apache's own image. (testcontainers' `KafkaContainer` starts Confluent's only.)

    The host's port is chosen here, not by Docker, because a client comes back to the address it is told, and because
    it must be the same after a restart.
    """

    def __init__(self) -> None:
        super().__init__(KAFKA_IMAGE)
        port = free_port()
        self.bootstrap = f"{self.get_docker_client().host()}:{port}"
        self.with_bind_ports(9094, port)
        settings = {
            "HEAP_OPTS": "-Xmx384m",
            "NODE_ID": "1",
            "PROCESS_ROLES": "broker,controller",
            "CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
            "CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "INTER_BROKER_LISTENER_NAME": "INSIDE",
            "LISTENERS": "INSIDE://:9092,CONTROLLER://:9093,HOST://:9094",
            "ADVERTISED_LISTENERS": f"INSIDE://localhost:9092,HOST://{self.bootstrap}",
            "LISTENER_SECURITY_PROTOCOL_MAP": "INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT,HOST:PLAINTEXT",
            "AUTO_CREATE_TOPICS_ENABLE": "false",
            "OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "OFFSETS_TOPIC_NUM_PARTITIONS": "8",
            "GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
            "GROUP_COORDINATOR_APPEND_LINGER_MS": "0",
            "BROKER_SESSION_TIMEOUT_MS": "3000",
            "BROKER_HEARTBEAT_INTERVAL_MS": "500",
        }
        for name, value in settings.items():
            self.with_env(f"KAFKA_{name}", value)
        self.waiting_for(LogMessageWaitStrategy("Kafka Server started").with_startup_timeout(90))


class _ContainerBroker(Broker):
    def __init__(self, container: _KafkaContainer) -> None:
        self._container = container
        self.access = KafkaAccess(container.bootstrap)

    def crash(self) -> None:
        self._container.get_wrapped_container().kill()

    def return_(self) -> None:
        self._container.get_wrapped_container().start()
