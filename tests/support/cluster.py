"""Three brokers on this machine, each a controller, too: what a deployment runs beyond trying out."""

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chassis.kafka import ADMINISTRATOR, KafkaAccess
from deploy.local.kafka import LocalKafka, new_cluster_id
from deploy.local.state import free_port


class Node(LocalKafka):
    """One of several brokers."""

    def __init__(
        self,
        folder: Path,
        number: int,
        ports: Sequence[tuple[int, int]],
        *,
        secrets: Path,
        cluster_id: str,
        tls: bool = False,
    ) -> None:
        port, self._controller_port = ports[number]
        super().__init__(folder / f"kafka-{number + 1}", port, secrets=secrets, tls=tls)
        self.cluster_id = cluster_id
        self._number = number + 1
        self._voters = ",".join(f"{n}@127.0.0.1:{controller}" for n, (_, controller) in enumerate(ports, 1))

    def choose_controller_port(self) -> int:
        # The others know it.
        return self._controller_port

    def settings(self, logs: Path, controller_port: int) -> dict[str, Any]:
        return {
            **super().settings(logs, controller_port),
            "node.id": self._number,
            "controller.quorum.voters": self._voters,
            "default.replication.factor": 3,
            "min.insync.replicas": 2,
            "offsets.topic.replication.factor": 3,
            "transaction.state.log.replication.factor": 3,
            "transaction.state.log.min.isr": 2,
            "share.coordinator.state.topic.replication.factor": 3,
            "share.coordinator.state.topic.min.isr": 2,
        }


@dataclass(frozen=True)
class Cluster:
    """Brokers that can be taken away one by one. A broker lives as long as the thread that started it: `threads`."""

    nodes: list[Node]
    threads: ThreadPoolExecutor

    @property
    def bootstrap(self) -> str:
        return ",".join(node.address for node in self.nodes)

    def access(self, user: str = ADMINISTRATOR) -> KafkaAccess:
        alone = self.nodes[0].access(user)
        return replace(alone, bootstrap=self.bootstrap)

    def return_(self, *numbers: int) -> None:
        """Start these again; they are ready when it returns."""
        list(self.threads.map(lambda number: self.nodes[number].start(), numbers))


@contextlib.contextmanager
def running_cluster(folder: Path, secrets: Path, *, tls: bool = False) -> Iterator[Cluster]:
    taken: list[int] = []
    for _ in range(6):
        taken.append(free_port(taken=taken))
    ports = list(zip(taken[:3], taken[3:], strict=True))
    cluster_id = new_cluster_id()
    nodes = [Node(folder, number, ports, secrets=secrets, cluster_id=cluster_id, tls=tls) for number in range(3)]
    with ThreadPoolExecutor(3) as threads:
        cluster = Cluster(nodes, threads)
        try:
            cluster.return_(0, 1, 2)
            yield cluster
        finally:
            for node in nodes:
                node.kill()
