"""Where a service finds its neighbours. Read from `AKASHI_*` variables; secrets come from files only."""

import base64
import binascii
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, PositiveInt, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis.kafka import KafkaAccess, SecurityProtocol, bootstrap_of
from chassis.tls import showing, trusting

Role = Literal["all", "web", "worker"]


#: Of every key that is a secret: X25519, AES-256-GCM, and the pepper of HMAC-SHA256.
KEY_BYTES: Final = 32
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class SecretUnusable(Exception):
    """A secret's file is not there, cannot be read, or holds something else. One sentence says which and why."""


class Secrets:
    """A folder of files, one secret each. Values are read once and never shown by `repr`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def text(self, name: str) -> str:
        try:
            text = (self._folder / name).read_text().strip()
        except OSError as error:
            raise SecretUnusable(f"Secret {name!r} cannot be read from {self._folder}: {error.strerror}.") from None
        except UnicodeDecodeError:
            text = ""
        if not text:
            raise SecretUnusable(f"Secret {name!r} in {self._folder} is no text.")
        return text

    def key(self, name: str) -> bytes:
        """One of `KEY_BYTES`."""
        try:
            key = base64.b64decode(self.text(name), validate=True)
        except binascii.Error:
            key = b""
        if len(key) != KEY_BYTES:
            raise SecretUnusable(f"Secret {name!r} in {self._folder} is not {KEY_BYTES} bytes in base64.")
        return key


class ServiceSettings(BaseSettings):
    """What every service needs to know."""

    model_config = SettingsConfigDict(env_prefix="AKASHI_", frozen=True, hide_input_in_errors=True)

    #: `web` answers HTTP, `worker` consumes and relays, `all` does both.
    role: Role = "all"
    #: One broker or more, separated by commas: whoever answers tells of the others.
    kafka_bootstrap: Annotated[str, AfterValidator(bootstrap_of)] = "127.0.0.1:9092"
    #: PLAINTEXT where the broker asks nobody who they are.
    kafka_security_protocol: SecurityProtocol = "SASL_PLAINTEXT"
    #: With SASL_SSL: the authorities (PEM) whose certificate a broker must show; the system's when left out.
    kafka_ca_file: Path | None = None
    postgres_host: str = "127.0.0.1"
    postgres_port: Port = 5432
    #: TLS with PostgreSQL, and nothing else: the authorities (PEM) whose certificate the server must show for its name.
    postgres_ca_file: Path | None = None
    postgres_pool_size: PositiveInt = 10
    secrets_dir: Path = Path("/run/secrets/akashi")
    http_host: str = "127.0.0.1"
    http_port: Port = 8000
    #: HTTPS instead of HTTP: the certificate to show and the key to it, in one file (PEM).
    http_certificate_file: Path | None = None
    #: From a client's connection, or the first byte of its next request, to the last byte of the request's body.
    http_request_seconds: Seconds = 20.0
    #: That a client may read nothing of what waits for it.
    http_answer_seconds: Seconds = 30.0
    #: At once, of one process. Well below the files that it may have open: those are Kafka's and PostgreSQL's, too.
    http_connections: PositiveInt = 500
    #: Addresses and networks, separated by commas, whose X-Forwarded-For says who asks. Empty: whoever connects asks.
    trusted_proxies: str = ""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    #: Cookies of pages go over TLS only. False where the stack is tried on this machine, without.
    cookies_secure: bool = True
    #: Who signs in on pages that offer codes must set one up before anything else.
    codes_required: bool = False
    #: Records per poll, and so per transaction.
    batch_records: PositiveInt = 500
    #: How long a stop waits for work in hand.
    drain_seconds: Seconds = 15.0
    #: More parked records than this within a minute stop the consumer: the fault is then ours.
    parked_per_minute_limit: PositiveInt = 600

    def kafka(self, service: str) -> KafkaAccess:
        """How this service reaches Kafka. Raises `SecretUnusable`."""
        asked = self.kafka_security_protocol != "PLAINTEXT"
        password = self.secrets.text("kafka_password") if asked else ""
        return KafkaAccess(
            self.kafka_bootstrap, self.kafka_security_protocol, service, password, ca_file=self.kafka_ca_file
        )

    def require_certificates(self) -> None:
        """Raises `CertificateUnusable` for the first file that is not there or holds something else."""
        for ca_file in self.ca_files():
            if ca_file is not None:
                trusting(ca_file)
        if self.http_certificate_file is not None:
            showing(self.http_certificate_file)

    def ca_files(self) -> tuple[Path | None, ...]:
        """Whose certificates count, neighbour by neighbour."""
        return self.kafka_ca_file, self.postgres_ca_file

    @model_validator(mode="after")
    def _a_ca_is_asked_for_what_it_says(self) -> Self:
        if self.kafka_ca_file is not None and self.kafka_security_protocol != "SASL_SSL":
            raise ValueError("kafka_ca_file says whom to trust over TLS: set kafka_security_protocol to SASL_SSL, too")
        return self

    @field_validator("trusted_proxies")
    @classmethod
    def _each_is_an_address_or_a_network(cls, proxies: str) -> str:
        """To uvicorn anything else is a name that nobody has, and "*" everybody, who could then say anything."""
        for proxy in filter(None, proxies.split(",")):
            ip_network(proxy.strip())
        return proxies

    @field_validator("log_level", mode="before")
    @classmethod
    def _a_level_is_written_as_one_likes(cls, level: object) -> object:
        return level.upper() if isinstance(level, str) else level

    @cached_property
    def secrets(self) -> Secrets:
        return Secrets(self.secrets_dir)


def in_words(error: ValidationError) -> str:
    """What is wrong with which variables, without their values."""
    prefix = ServiceSettings.model_config["env_prefix"]
    words = []
    for one in error.errors(include_url=False, include_input=False):
        said = one["msg"].removeprefix("Value error, ")
        words.append(f"{prefix}{'.'.join(map(str, one['loc'])).upper()}: {said}" if one["loc"] else said)
    return "; ".join(words)
