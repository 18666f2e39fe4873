"""The supervisor of a stack whose services reach their neighbours over lines: see `tests.support.wired`.

Run as `python -m tests.support.wired_supervisor STATE WIRING`; the same parts as ever, told other ports.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deploy.local import status
from deploy.local.kafka import LocalKafka
from deploy.local.parts import Part, ProcessSpec, server
from deploy.local.stack import SERVICES, stack
from deploy.local.state import choose_ports, free_port, open_state
from deploy.local.supervisor import supervise

#: Holds a link for each service, to the folder of the release that runs.
RELEASES = "releases"


@dataclass(frozen=True)
class Wiring:
    """The ports of every line."""

    #: Service → what it is told in place of `AKASHI_…`.
    settings: dict[str, dict[str, str]]
    #: Service → its own listener of the broker, and the port that listener tells its clients: the line's.
    listeners: dict[str, tuple[int, int]]
    #: What the broker is told beside them.
    broker: dict[str, Any] = field(default_factory=dict)


class WiredKafka(LocalKafka):
    """A broker with a listener for each service: a client comes back to the address it is told there."""

    def __init__(self, state: Path, port: int, secrets: Path, wiring: Wiring) -> None:
        super().__init__(state, port, secrets=secrets)
        self._wiring = wiring

    def choose_controller_port(self) -> int:
        return free_port(taken=[self.port, *(own for own, _ in self._wiring.listeners.values())])

    def settings(self, logs: Path, controller_port: int) -> dict[str, Any]:
        plain = super().settings(logs, controller_port)

        def with_each(name: str, added: Mapping[str, str]) -> dict[str, str]:
            return {name: ",".join([plain[name], *(f"{service.upper()}:{end}" for service, end in added.items())])}

        listeners = self._wiring.listeners
        return {
            **plain,
            **with_each("listeners", {service: f"//127.0.0.1:{own}" for service, (own, _) in listeners.items()}),
            **with_each(
                "advertised.listeners", {service: f"//127.0.0.1:{told}" for service, (_, told) in listeners.items()}
            ),
            **with_each("listener.security.protocol.map", dict.fromkeys(listeners, self.protocol)),
            **self._wiring.broker,
        }


def wired(state: Path, ports: Mapping[str, int], wiring: Wiring) -> list[Part]:
    kafka = WiredKafka(state / "kafka", ports["kafka"], state / "secrets", wiring)

    def rewired(part: Part) -> Part:
        if part.name == "kafka":
            return server(kafka, after=part.after)
        if part.name in SERVICES:
            assert isinstance(part, ProcessSpec)
            plain = part.environment
            return replace(
                part,
                environment=lambda: {**plain(), **wiring.settings[part.name]},
                # A link: what it leads to, the next process runs.
                folder=state / RELEASES / part.name,
            )
        return part

    return [rewired(part) for part in stack(state, ports)]


def main() -> None:
    state, wiring = Path(sys.argv[1]), Wiring(**json.loads(sys.argv[2]))
    os.umask(0o077)
    state = open_state(state.resolve())
    with status.sole_supervisor(state):
        asyncio.run(supervise(state, wired(state, choose_ports(state), wiring)))


if __name__ == "__main__":
    main()
