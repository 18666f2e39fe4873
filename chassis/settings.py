"""Where a service finds its neighbours. Read from `AKASHI_*` variables; secrets come from files only."""

import base64
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis.kafka import KafkaAccess, SecurityProtocol

Role = Literal["all", "web", "worker"]


class SecretMissing(Exception):
    """A secret's file is not there, or cannot be read."""


class Secrets:
    """A folder of files, one secret each. Values are read once and never shown by `repr`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def text(self, name: str) -> str:
        try:
            return (self._folder / name).read_text().strip()
        except OSError as error:
            raise SecretMissing(f"Secret {name!r} cannot be read from {self._folder}: {error.strerror}.") from None

    def key(self, name: str) -> bytes:
        return base64.b64decode(self.text(name))


class ServiceSettings(BaseSettings):
    """What every service needs to know."""

    model_config = SettingsConfigDict(env_prefix="AKASHI_", frozen=True, hide_input_in_errors=True)

    #: `web` answers HTTP, `worker` consumes and relays, `all` does both.
    role: Role = "all"
    #: One broker or more, separated by commas: whoever answers tells of the others.
    kafka_bootstrap: str = "127.0.0.1:9092"
    #: PLAINTEXT where the broker asks nobody who they are.
    kafka_security_protocol: SecurityProtocol = "SASL_PLAINTEXT"
    postgres_host: str = "127.0.0.1"
    postgres_port: int = 5432
    postgres_pool_size: int = 10
    secrets_dir: Path = Path("/run/secrets/akashi")
    http_host: str = "127.0.0.1"
    http_port: int = 8000
    log_level: str = "INFO"
    #: Cookies of pages go over TLS only. False where the stack is tried on this machine, without.
    cookies_secure: bool = True
    #: Records per poll, and so per transaction.
    batch_records: int = 500
    #: How long a stop waits for work in hand.
    drain_seconds: float = 15.0
    #: More parked records than this within a minute stop the consumer: the fault is then ours.
    parked_per_minute_limit: int = 600

    def kafka(self, service: str) -> KafkaAccess:
        """How this service reaches Kafka. Raises `SecretMissing`."""
        asked = self.kafka_security_protocol != "PLAINTEXT"
        password = self.secrets.text("kafka_password") if asked else ""
        return KafkaAccess(self.kafka_bootstrap, self.kafka_security_protocol, service, password)

    @cached_property
    def secrets(self) -> Secrets:
        return Secrets(self.secrets_dir)
