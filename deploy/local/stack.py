"""What runs, in which order, and what does each part need to know of the others?"""

import asyncio
import http.client
import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from chassis.kafka import ADMINISTRATOR, OPERATOR, KafkaAccess, SecurityProtocol, protocol_of
from chassis.tls import trusting
from deploy.local.kafka import LocalKafka
from deploy.local.parts import Part, ProcessSpec, StepSpec, server
from deploy.local.postgres import LocalPostgres
from deploy.local.problem import Problem

__all__ = ["SERVICES", "Problem", "stack"]

SERVICES = ("intake", "issuer", "registry", "notifier")
_OK = 200
#: Of the settings below, those that somebody who serves people through a proxy sets.
_TOLD = ("AKASHI_COOKIES_SECURE", "AKASHI_PURCHASER_URL", "AKASHI_CONTRACTOR_URL")


def stack(state: Path, ports: Mapping[str, int], *, without: Iterable[str] = (), tls: bool = False) -> list[Part]:
    """The parts, each after those it needs. `without` leaves parts out, as if they were never built.

    With `tls` they speak nothing else with each other; parts that run elsewhere do as the caller's settings say.
    """
    left_out = set(without)
    secrets = state / "secrets"
    postgres = LocalPostgres(
        state / "postgres",
        ports["postgres"],
        password_file=secrets / "postgres" / "superuser_password",
        certificate_file=secrets / "database" / "tls.pem" if tls else None,
    )
    kafka = LocalKafka(state / "kafka", ports["kafka"], secrets=secrets, tls=tls)
    at = _Neighbours(
        # A part that is left out may run elsewhere: then the caller's settings say where.
        kafka=(os.environ.get("AKASHI_KAFKA_BOOTSTRAP") if "kafka" in left_out else None) or kafka.address,
        kafka_security_protocol=protocol_of(os.environ) if "kafka" in left_out else kafka.protocol,
        postgres_host=(os.environ.get("AKASHI_POSTGRES_HOST") if "postgres" in left_out else None) or "127.0.0.1",
        postgres_port=int(
            (os.environ.get("AKASHI_POSTGRES_PORT") if "postgres" in left_out else None) or postgres.port
        ),
        witness="witness" not in left_out,
        secrets=secrets,
        tls=tls,
        elsewhere=frozenset(left_out & {"kafka", "postgres"}),
    )

    async def make_secrets() -> None:
        # Here, because reading the topology should not cost the import of cryptography.
        from deploy.secrets import SecretsDoNotFit, make_secrets  # noqa: PLC0415

        try:
            await asyncio.to_thread(make_secrets, secrets)
        except SecretsDoNotFit as error:
            raise Problem(str(error)) from None

    async def make_databases() -> None:
        from deploy.databases import ensure_databases  # noqa: PLC0415 - as above, of asyncpg

        passwords = {service: (secrets / service / "database_password").read_text() for service in SERVICES}
        await ensure_databases(
            at.postgres_host,
            at.postgres_port,
            postgres.admin_password,
            passwords,
            ca_file=at.ca_of("postgres", "postgres"),
        )

    async def make_topics() -> None:
        from chassis.kafka_acls import ensure_acls  # noqa: PLC0415 - as above, of aiokafka
        from chassis.kafka_topics import ensure_topics  # noqa: PLC0415

        password = (secrets / ADMINISTRATOR / "kafka_password").read_text()
        ca_file = at.ca_of("kafka", ADMINISTRATOR)
        access = KafkaAccess(at.kafka, at.kafka_security_protocol, ADMINISTRATOR, password, ca_file)
        await ensure_topics(access)
        await ensure_acls(access)

    parts: list[Part] = [
        StepSpec("secrets", make_secrets),
        server(postgres, after=("secrets",)),
        server(kafka, after=("secrets",)),
        _mailbox(state / "mailbox", ports, at),
        _witness(state, ports["witness"], at),
        StepSpec("databases", make_databases, after=("postgres",)),
        StepSpec("topics", make_topics, after=("kafka",)),
        *(_service(name, state, ports, at) for name in SERVICES),
    ]
    if unknown := left_out - {part.name for part in parts}:
        raise Problem(f"There is no part named {', '.join(sorted(unknown))}: leave out one of the parts by its name.")
    return [part for part in parts if part.name not in left_out]


@dataclass(frozen=True)
class _Neighbours:
    """Where the services find each other, broker and database, and how they speak there."""

    kafka: str
    kafka_security_protocol: SecurityProtocol
    postgres_host: str
    postgres_port: int
    #: Whether there is one.
    witness: bool
    secrets: Path
    #: Whether the parts here speak TLS.
    tls: bool
    #: Of `kafka` and `postgres`, which run elsewhere.
    elsewhere: frozenset[str]

    def url(self, port: int) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{port}"

    def ca(self, reader: str) -> Path:
        return self.secrets / reader / "ca.pem"

    def ca_of(self, server: str, reader: str) -> Path | None:
        """Whose certificates count at `kafka` or `postgres`; what runs elsewhere, the caller's settings speak of."""
        if server in self.elsewhere:
            named = os.environ.get(f"AKASHI_{server.upper()}_CA_FILE")
            return Path(named) if named else None
        return self.ca(reader) if self.tls else None

    def certificate(self, part: str) -> Path | None:
        """What a part shows to those who come by HTTP."""
        return self.secrets / part / "tls.pem" if self.tls else None


def _service(name: str, state: Path, ports: Mapping[str, int], at: _Neighbours) -> ProcessSpec:
    settings: dict[str, object] = {
        "AKASHI_KAFKA_BOOTSTRAP": at.kafka,
        "AKASHI_KAFKA_SECURITY_PROTOCOL": at.kafka_security_protocol,
        "AKASHI_POSTGRES_HOST": at.postgres_host,
        "AKASHI_POSTGRES_PORT": at.postgres_port,
        "AKASHI_SECRETS_DIR": state / "secrets" / name,
        "AKASHI_HTTP_HOST": "127.0.0.1",
        "AKASHI_HTTP_PORT": ports[name],
        # Pages of this machine are read without TLS, unless it was asked for.
        "AKASHI_COOKIES_SECURE": "true" if at.tls else "false",
        "AKASHI_KAFKA_CA_FILE": at.ca_of("kafka", name),
        "AKASHI_POSTGRES_CA_FILE": at.ca_of("postgres", name),
        "AKASHI_HTTP_CERTIFICATE_FILE": at.certificate(name),
    }
    match name:
        case "intake":
            settings["AKASHI_PURCHASER_URL"] = at.url(ports["registry"])
        case "registry" if at.witness:
            # Its key lies among the secrets, which are not made yet.
            witness = {"url": at.url(ports["witness"]), "key": "witness_verifier_key"}
            if at.tls:
                witness["ca_file"] = str(at.ca(name))
            settings["AKASHI_WITNESSES"] = json.dumps([witness])
        case "notifier":
            settings |= {
                "AKASHI_SMTP_HOST": "127.0.0.1",
                "AKASHI_SMTP_PORT": ports["smtp"],
                "AKASHI_CONTRACTOR_URL": at.url(ports["intake"]),
            }
            if at.tls:
                settings |= {"AKASHI_SMTP_SECURITY": "starttls", "AKASHI_SMTP_CA_FILE": at.ca(name)}
    # How people reach the pages the caller may know better.
    settings = {name: value for name, value in settings.items() if name not in _TOLD or name not in os.environ}
    # The caller's own settings (AKASHI_*) pass; where the parts find each other, and how they speak, is decided here.
    decided = {variable: str(value) for variable, value in settings.items() if value is not None}
    passed = {variable: value for variable, value in os.environ.items() if variable not in settings}
    return ProcessSpec(
        name=name,
        command=lambda: [sys.executable, "-m", f"services.{name}"],
        environment=lambda: {**passed, "PYTHONUNBUFFERED": "1", **decided},
        is_ready=lambda: _answers_ok(ports[name], "/health/ready", at),
        address=at.url(ports[name]),
        # The mail box: so that stopping the notifier finds it still there.
        after=("databases", "topics", "mailbox"),
    )


def _mailbox(folder: Path, ports: Mapping[str, int], at: _Neighbours) -> ProcessSpec:
    chosen = {"--smtp-port": ports["smtp"], "--http-port": ports["mailbox"], "--state": folder}
    if shown := at.certificate("mailbox"):
        chosen["--certificate"] = shown
    options = [str(part) for pair in chosen.items() for part in pair]
    return ProcessSpec(
        name="mailbox",
        command=lambda: [sys.executable, "-m", "deploy.local.mailbox", *options],
        environment=lambda: {**os.environ, "PYTHONUNBUFFERED": "1"},
        is_ready=lambda: _answers_ok(ports["mailbox"], "/readyz", at),
        address=at.url(ports["mailbox"]),
        after=("secrets",) if at.tls else (),
    )


def _witness(state: Path, port: int, at: _Neighbours) -> ProcessSpec:
    """Nobody waits for it: certificates are signed for without it, too."""
    folder = state / "witness"
    chosen = {"--secrets": state / "secrets" / "witness", "--state": folder / "seen.json", "--port": port}
    if shown := at.certificate("witness"):
        chosen["--certificate"] = shown
    options = [str(part) for pair in chosen.items() for part in pair]
    return ProcessSpec(
        name="witness",
        command=lambda: [sys.executable, "-m", "deploy.witness", *options],
        environment=lambda: {**os.environ, "PYTHONUNBUFFERED": "1"},
        is_ready=lambda: _answers_ok(port, "/", at),
        address=at.url(port),
        after=("secrets",),
        prepare=lambda: folder.mkdir(mode=0o700, exist_ok=True),
    )


def _answers_ok(port: int, path: str, at: _Neighbours) -> bool:
    connection = (
        http.client.HTTPSConnection("127.0.0.1", port, timeout=1, context=trusting(at.ca(OPERATOR)))
        if at.tls
        else http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    )
    try:
        connection.request("GET", path)
        return connection.getresponse().status == _OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
