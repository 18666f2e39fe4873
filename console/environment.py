"""Where is the stack that a command is about?

`AKASHI_KAFKA_BOOTSTRAP`, `AKASHI_POSTGRES_HOST`, `AKASHI_POSTGRES_PORT` and `AKASHI_SECRETS_DIR` (the folder with one
folder per service) say so; what they leave open is the local stack's. A broker that asks nobody who they are needs
`AKASHI_KAFKA_SECURITY_PROTOCOL=PLAINTEXT`, one that speaks TLS `SASL_SSL`. `AKASHI_KAFKA_CA_FILE`,
`AKASHI_POSTGRES_CA_FILE` and `AKASHI_HTTP_CA_FILE` name the authorities whose certificates broker, database and
services must show. `AKASHI_REFERENCE_DIR` is the folder of reference data that the services read.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chassis.kafka import ADMINISTRATOR, OPERATOR, PROTOCOL, KafkaAccess, SecurityProtocol, bootstrap_of, protocol_of
from deploy.local import status
from deploy.local.problem import Problem
from deploy.local.state import state_folder

if TYPE_CHECKING:
    from reference.reader import Reference

KAFKA: Final = "AKASHI_KAFKA_BOOTSTRAP"
POSTGRES_HOST: Final = "AKASHI_POSTGRES_HOST"
POSTGRES_PORT: Final = "AKASHI_POSTGRES_PORT"
SECRETS: Final = "AKASHI_SECRETS_DIR"
KAFKA_CA: Final = "AKASHI_KAFKA_CA_FILE"
POSTGRES_CA: Final = "AKASHI_POSTGRES_CA_FILE"
HTTP_CA: Final = "AKASHI_HTTP_CA_FILE"
REFERENCE: Final = "AKASHI_REFERENCE_DIR"

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
    #: With SASL_SSL; the system's authorities when there is none.
    kafka_ca_file: Path | None = None
    #: TLS with PostgreSQL, and nothing else.
    postgres_ca_file: Path | None = None

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
        return KafkaAccess(
            self.kafka_bootstrap, self.kafka_security_protocol, user, password, ca_file=self.kafka_ca_file
        )

    def secret(self, name: str) -> str:
        """`<service>/database_password`, `postgres/superuser_password` …"""
        try:
            text = (self.secrets_dir / name).read_text().strip()
        except OSError as error:
            raise Problem(
                f"The secret {name} can't be read from {self.secrets_dir} ({error.strerror}): "
                f"set {SECRETS} to the folder that `akashi secrets make` filled."
            ) from None
        except UnicodeDecodeError:
            text = ""
        if not text:
            raise Problem(f"The secret {name} in {self.secrets_dir} is no text: bring back the one that was made.")
        return text


def find_stack(environment: Mapping[str, str] = os.environ, *, kafka: bool = True, postgres: bool = True) -> Stack:
    """The stack that the environment names, and the local one for what it does not name.

    `Problem` when something is named by neither; what a command does without may stay unknown.
    """
    local = _Local(state_folder(environment))
    host, port = _postgres(environment, local) if postgres else ("", 0)
    protocol, kafka_ca = _kafka_security(environment, local) if kafka else ("PLAINTEXT", None)
    return Stack(
        kafka_bootstrap=_kafka_bootstrap(environment, local) if kafka else "",
        postgres_host=host,
        postgres_port=port,
        secrets_dir=_secrets_dir(environment, local) if postgres or protocol != "PLAINTEXT" else Path(),
        kafka_security_protocol=protocol,
        kafka_ca_file=kafka_ca,
        postgres_ca_file=_postgres_ca(environment, local) if postgres else None,
    )


def find_reference(environment: Mapping[str, str] = os.environ) -> "Reference":
    """The reference data, as the services of this stack read them. Raises `InvalidReference`."""
    from reference import reader  # noqa: PLC0415 - most commands and every --help go without

    folder = environment.get(REFERENCE)
    return reader.load(Path(folder).expanduser() if folder else reader.DEFAULT)


def find_http_ca(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Whose certificates count at the services' addresses: those of the local stack, unless the environment says it."""
    if named := environment.get(HTTP_CA):
        return Path(named).expanduser()
    state = state_folder(environment)
    found = status.read(state) if status.is_running(state) else None
    return _Local(state).ca_file if found is not None and found.tls else None


def _kafka_bootstrap(environment: Mapping[str, str], local: "_Local") -> str:
    try:
        return bootstrap_of(environment.get(KAFKA) or local.address("kafka"))
    except ValueError as error:
        raise Problem(f"{KAFKA}: {error}.") from None


def _kafka_security(environment: Mapping[str, str], local: "_Local") -> tuple[SecurityProtocol, Path | None]:
    try:
        protocol = protocol_of(environment)
    except ValueError as error:
        raise Problem(f"{error}.") from None
    if named := environment.get(KAFKA_CA):
        if protocol != "SASL_SSL":
            raise Problem(f"{KAFKA_CA} says whom to trust over TLS: set {PROTOCOL} to SASL_SSL, too.")
        return protocol, Path(named).expanduser()
    if not environment.get(PROTOCOL) and not environment.get(KAFKA) and local.speaks_tls:
        return "SASL_SSL", local.ca_file
    return protocol, None


def _postgres_ca(environment: Mapping[str, str], local: "_Local") -> Path | None:
    if named := environment.get(POSTGRES_CA):
        return Path(named).expanduser()
    is_local = not environment.get(POSTGRES_HOST) and not environment.get(POSTGRES_PORT)
    return local.ca_file if is_local and local.speaks_tls else None


def _postgres(environment: Mapping[str, str], local: "_Local") -> tuple[str, int]:
    host, port = environment.get(POSTGRES_HOST), environment.get(POSTGRES_PORT)
    if port and not (port.isdecimal() and 0 < int(port) < 65536):  # noqa: PLR2004 - ports
        raise Problem(f'{POSTGRES_PORT} is "{port}", which is no port: set a number from 1 to 65535.')
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
    def speaks_tls(self) -> bool:
        return self._status.tls

    @property
    def ca_file(self) -> Path:
        return self.state / "secrets" / OPERATOR / "ca.pem"

    @property
    def secrets_dir(self) -> Path:
        assert self._status
        return self.state / "secrets"
