"""Where is the stack that a command is about?

`AKASHI_KAFKA_BOOTSTRAP`, `AKASHI_POSTGRES_HOST`, `AKASHI_POSTGRES_PORT` and `AKASHI_SECRETS_DIR` (the folder with one
folder per service) say so; what they leave open is the local stack's. A broker that asks nobody who they are needs
`AKASHI_KAFKA_SECURITY_PROTOCOL=PLAINTEXT`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from chassis.kafka import ADMINISTRATOR, OPERATOR, KafkaAccess, SecurityProtocol, protocol_of
from deploy.local import status
from deploy.local.problem import Problem
from deploy.local.state import state_folder

KAFKA: Final = "AKASHI_KAFKA_BOOTSTRAP"
POSTGRES_HOST: Final = "AKASHI_POSTGRES_HOST"
POSTGRES_PORT: Final = "AKASHI_POSTGRES_PORT"
SECRETS: Final = "AKASHI_SECRETS_DIR"

_DEFAULT_POSTGRES_PORT: Final = 5432


@dataclass(frozen=True)
class Stack:
    """The addresses of one stack, and the folder of its secrets."""

    kafka_bootstrap: str
    postgres_host: str
    postgres_port: int
    #: Holds a folder per service, each with `database_password`, and `postgres/`.
    secrets_dir: Path
    kafka_security_protocol: SecurityProtocol = "SASL_PLAINTEXT"

    @property
    def kafka(self) -> KafkaAccess:
        """For whoever reads, and gives parked records back."""
        return self._kafka_as(OPERATOR)

    @property
    def kafka_administrator(self) -> KafkaAccess:
        """For whoever makes topics and rules, or fills an empty broker."""
        return self._kafka_as(ADMINISTRATOR)

    def _kafka_as(self, user: str) -> KafkaAccess:
        password = self.secret(f"{user}/kafka_password") if self.kafka_security_protocol != "PLAINTEXT" else ""
        return KafkaAccess(self.kafka_bootstrap, self.kafka_security_protocol, user, password)

    def secret(self, name: str) -> str:
        """`<service>/database_password`, `postgres/superuser_password` …"""
        try:
            return (self.secrets_dir / name).read_text().strip()
        except OSError as error:
            raise Problem(
                f"The secret {name} can't be read from {self.secrets_dir} ({error.strerror}): "
                f"set {SECRETS} to the folder that `akashi secrets make` filled."
            ) from None


def find_stack(environment: Mapping[str, str] = os.environ, *, kafka: bool = True, postgres: bool = True) -> Stack:
    """The stack that the environment names, and the local one for what it does not name.

    `Problem` when something is named by neither; what a command does without may stay unknown.
    """
    local = _Local(state_folder(environment))
    host, port = _postgres(environment, local) if postgres else ("", 0)
    protocol = _protocol(environment) if kafka else "PLAINTEXT"
    return Stack(
        kafka_bootstrap=(environment.get(KAFKA) or local.address("kafka")) if kafka else "",
        postgres_host=host,
        postgres_port=port,
        secrets_dir=_secrets_dir(environment, local) if postgres or protocol != "PLAINTEXT" else Path(),
        kafka_security_protocol=protocol,
    )


def _protocol(environment: Mapping[str, str]) -> SecurityProtocol:
    try:
        return protocol_of(environment)
    except ValueError as error:
        raise Problem(f"{error}.") from None


def _postgres(environment: Mapping[str, str], local: "_Local") -> tuple[str, int]:
    host, port = environment.get(POSTGRES_HOST), environment.get(POSTGRES_PORT)
    if port and not port.isdecimal():
        raise Problem(f'{POSTGRES_PORT} is "{port}", which is no port: set a number.')
    if host or port:
        return host or "127.0.0.1", int(port or _DEFAULT_POSTGRES_PORT)
    local_host, _, local_port = local.address("postgres").rpartition(":")
    return local_host, int(local_port)


def _secrets_dir(environment: Mapping[str, str], local: "_Local") -> Path:
    named = environment.get(SECRETS)
    return Path(named).expanduser() if named else local.secrets_dir


@dataclass(frozen=True)
class _Local:
    """What the local stack's supervisor noted, read only when it is asked for."""

    state: Path

    @cached_property
    def _status(self) -> status.StackStatus:
        found = status.read(self.state)
        if found is None:
            raise Problem(
                f"No stack was found in {self.state}: start one with `akashi up`, or set {KAFKA}, {POSTGRES_HOST}, "
                f"{POSTGRES_PORT} and {SECRETS}."
            )
        if not status.is_running(self.state):
            raise Problem(f"The stack in {self.state} does not run: start it with `akashi up`.")
        return found

    def address(self, name: str) -> str:
        for part in self._status.parts:
            if part.name == name and part.address:
                return part.address
        raise Problem(f"The stack in {self.state} runs without {name}: start it whole with `akashi up`.")

    @property
    def secrets_dir(self) -> Path:
        assert self._status
        return self.state / "secrets"
