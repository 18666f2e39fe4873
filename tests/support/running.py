"""The whole stack as `akashi up` starts it, in a folder and on ports of its own, with people to act in it.

With `AKASHI_TEST_STACK=containers` broker and database come from testcontainers, and the rest finds them there.
"""

import asyncio
import email
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from chassis.kafka import KafkaAccess
from chassis.kafka_acls import ensure_acls
from chassis.kafka_topics import ensure_topics
from chassis.tls import trusting
from console import accounts
from console.audit import check
from console.audit.compare import Report
from console.environment import Stack, find_http_ca, find_stack
from deploy.local import status
from deploy.local.state import PREFERRED_PORTS, free_port, open_state
from deploy.secrets import make_secrets
from schemas.applications import Contractor
from tests.support.browser import PASSWORD
from tests.support.cluster import Cluster
from tests.support.stack import in_containers, open_folder, running_broker, running_server
from tests.support.waiting import eventually

Document = dict[str, Any]
UP_SECONDS = 240
#: For a client that meets no certificate. Reading the system's authorities for each takes longer than its request.
TRUSTING_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
#: Longer than any clock of a test runs ahead.
TOKEN_DAYS = 500
#: Settings under which nobody need wait for a person's patience.
IMPATIENT = {
    "AKASHI_BACK_OFF_SECONDS": "[0.5, 1, 2]",
    "AKASHI_SERVER_AWAY_SECONDS": "1",
    "AKASHI_SMTP_TIMEOUT_SECONDS": "4",
    "AKASHI_LEASE_SECONDS": "10",
    "AKASHI_SWEEP_EVERY_SECONDS": "1",
    "AKASHI_HALF_ALONE_AFTER_SECONDS": "2",
    "AKASHI_PARK_AFTER_SECONDS": "5",
}


@dataclass
class RunningStack:
    """A stack that runs under its supervisor."""

    state: Path
    environment: dict[str, str]
    console: Stack
    #: Takes broker or database away where the supervisor does not run them.
    outside: dict[str, Callable[[], None]] = field(default_factory=dict)

    def part(self, name: str) -> status.PartStatus:
        found = status.read(self.state)
        assert found is not None
        return found.part(name)

    def url(self, name: str) -> str:
        return self.part(name).address

    @cached_property
    def trust(self) -> ssl.SSLContext:
        """Whose certificates count at the services' addresses."""
        ca_file = find_http_ca(self.environment)
        return TRUSTING_NOBODY if ca_file is None else trusting(ca_file)

    def kill(self, name: str, with_signal: signal.Signals = signal.SIGKILL) -> None:
        """End a part as a crash does. Its supervisor starts it again."""
        if name in self.outside:
            self.outside[name]()
            return
        pid = self.part(name).pid
        assert pid is not None, f"{name} does not run"
        os.kill(pid, with_signal)

    async def is_whole(self) -> bool:
        """Every service answers that it is ready."""
        async with httpx.AsyncClient(timeout=5, verify=self.trust) as client:
            for name in ("intake", "issuer", "registry", "notifier"):
                try:
                    if (await client.get(f"{self.url(name)}/health/ready")).status_code != httpx.codes.OK:
                        return False
                except httpx.HTTPError:
                    return False
        return True

    async def audit(self, settle_seconds: float = 60) -> Report:
        return await check.compare(self.console, settle_seconds=settle_seconds)

    async def contractor(self, identity: str) -> "Client":
        """A registered contractor's person, signed in at intake."""
        company = Contractor(
            id=identity,
            name="株式会社髙﨑建設",
            address="栃木県見本市見本町1-2-3",
            representative="代表取締役　𠮷田 髙志",
        )
        account = await accounts.add_contractor(self.console, identity, company, "見本 太郎")
        return await self._client("intake", account)

    async def desk(self, surety: str) -> "Client":
        return await self._client("issuer", await accounts.add_staff(self.console, surety, "審査 見本"))

    async def purchaser(self, purchaser: str) -> "Client":
        return await self._client("registry", await accounts.add_purchaser(self.console, purchaser, "契約 見本"))

    async def sign_in_of(self, client: "Client", login: str) -> str:
        """Let a person sign in on pages, too, with the password of all tests; returns the log-in."""
        await accounts.set_sign_in(self.console, client.account_id, login=login, password=PASSWORD)
        return login

    async def _client(self, service: str, account: accounts.Account) -> "Client":
        token, _ = await accounts.issue_token(self.console, account.id, label="test", days=TOKEN_DAYS, service=service)
        return Client(self, service, token, account.id)

    async def mails(self) -> list[Document]:
        """Every message that the mail box holds, newest first."""
        found: list[Document] = []
        async with self.http("mailbox") as client:
            while True:
                page = (await client.get("/api/v1/messages", params={"start": len(found), "limit": 500})).json()
                found.extend(page["messages"])
                if not page["messages"] or len(found) >= page["total"]:
                    return found

    async def mail(self, mail_id: str) -> EmailMessage:
        """One message, as it was received."""
        async with self.http("mailbox") as client:
            raw = (await client.get(f"/api/v1/message/{mail_id}/raw")).content
        return email.message_from_bytes(raw, policy=policy.default)

    def http(self, name: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url(name), verify=self.trust, timeout=30)

    async def mails_by_message_id(self) -> Counter[str]:
        return Counter(mail["MessageID"] for mail in await self.mails())


@dataclass
class Client:
    """Someone with a token, who asks again while a service is away."""

    stack: RunningStack
    service: str
    token: str = field(repr=False)
    account_id: UUID

    async def call(self, method: str, path: str, body: Document | None = None, **headers: str) -> httpx.Response:
        """The first answer that is neither a failure of the connection nor a 5xx or "in progress"."""
        give_up_at = time.monotonic() + 120
        bearer = {"Authorization": f"Bearer {self.token}", **headers}
        while True:
            try:
                trust = self.stack.trust
                async with httpx.AsyncClient(base_url=self.stack.url(self.service), verify=trust, timeout=20) as client:
                    answer = await client.request(method, path, json=body, headers=bearer)
                if answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR and not _in_progress(answer):
                    return answer
            except httpx.HTTPError:
                pass
            assert time.monotonic() < give_up_at, f"{self.service} did not answer {method} {path} for two minutes"
            await asyncio.sleep(0.2)

    async def document(self, path: str) -> Document:
        answer = await self.call("GET", path)
        assert answer.status_code == httpx.codes.OK, answer.text
        found: Document = answer.json()
        return found

    async def all_items(self, path: str) -> list[Document]:
        """Every item of a paged list."""
        items: list[Document] = []
        cursor = ""
        while True:
            page = await self.document(f"{path}?limit=100{cursor}")
            items.extend(page["items"])
            if page["next_cursor"] is None:
                return items
            cursor = f"&cursor={page['next_cursor']}"

    async def apply(self, form: Document, key: str) -> str:
        """Send an application until it is answered; its id."""
        answer = await self.call("POST", "/api/applications", form, **{"Idempotency-Key": key})
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        return str(answer.json()["application_id"])


def _in_progress(answer: httpx.Response) -> bool:
    return answer.status_code == httpx.codes.CONFLICT and "request-in-progress" in answer.text


@asynccontextmanager
async def running_stack(
    cluster: Cluster | None = None, secrets: Path | None = None, *, tls: bool = False, **settings: str
) -> AsyncIterator[RunningStack]:
    """Bring a stack up, and down again with everything it stored.

    On `cluster`, if there is one, with the `secrets` that it was started with. `settings` are more of the environment.
    """
    with ExitStack() as opened:
        state = opened.enter_context(open_folder()) / "state"
        environment, left_out, outside = opened.enter_context(_neighbours(state))
        if cluster is not None:
            assert secrets is not None
            open_state(state)
            shutil.copytree(secrets, state / "secrets")
            environment = {**environment, "AKASHI_KAFKA_BOOTSTRAP": cluster.bootstrap}
            left_out = ("kafka",)
            await ensure_topics(cluster.access())
            await ensure_acls(cluster.access())
        elif left_out:
            await ensure_topics(KafkaAccess(environment["AKASHI_KAFKA_BOOTSTRAP"]))
        environment = {**environment, **settings}
        options = [*(option for part in left_out for option in ("--without", part)), *(["--tls"] if tls else [])]
        akashi = [sys.executable, "-m", "console.main"]
        up = await asyncio.to_thread(
            subprocess.run,
            [*akashi, "up", *options],
            env=environment,
            capture_output=True,
            text=True,
            timeout=UP_SECONDS,
            check=False,
        )
        try:
            assert up.returncode == 0, up.stdout + up.stderr
            yield RunningStack(state, environment, find_stack(environment), outside)
        finally:
            await asyncio.to_thread(
                subprocess.run, [*akashi, "down"], env=environment, capture_output=True, timeout=120, check=False
            )


@pytest.fixture(scope="session")
async def stack() -> AsyncIterator[RunningStack]:
    """One whole stack for all tests that need one: each leaves it whole."""
    async with running_stack() as running:
        yield running


def own_environment(state: Path) -> dict[str, str]:
    """The caller's without its settings, with a folder, ports and little patience."""
    own = {
        name: value for name, value in os.environ.items() if not name.startswith("AKASHI_") or name == "AKASHI_CACHE"
    }
    # Not those that everybody prefers: while a part is down, nobody else may come to have its port.
    ports: dict[str, str] = {}
    for name in PREFERRED_PORTS:
        ports[f"AKASHI_PORT_{name.upper()}"] = str(free_port(taken=map(int, ports.values())))
    return {**own, "AKASHI_STATE": str(state), **IMPATIENT, **ports}


@contextmanager
def _neighbours(state: Path) -> Iterator[tuple[dict[str, str], Sequence[str], dict[str, Callable[[], None]]]]:
    """The environment of `akashi up`, which parts it leaves out, and how those are taken away."""
    environment = own_environment(state)
    if not in_containers():
        yield environment, (), {}
        return
    with running_broker() as broker, running_server() as server:
        open_state(state)
        (state / "secrets" / "postgres").mkdir(parents=True)
        (state / "secrets" / "postgres" / "superuser_password").write_text(server.password)
        make_secrets(state / "secrets")

        def bounce_broker() -> None:
            broker.crash()
            broker.return_()

        elsewhere = {
            "AKASHI_KAFKA_BOOTSTRAP": broker.access.bootstrap,
            "AKASHI_KAFKA_SECURITY_PROTOCOL": broker.access.protocol,
            "AKASHI_POSTGRES_HOST": server.host,
            "AKASHI_POSTGRES_PORT": str(server.port),
            "AKASHI_SECRETS_DIR": str(state / "secrets"),
        }
        yield {**environment, **elsewhere}, ("kafka", "postgres"), {"kafka": bounce_broker}


def logs(stack: RunningStack) -> str:
    return "\n".join(path.read_text(errors="replace") for path in sorted((stack.state / "logs").glob("*.log")))


def log_lines(stack: RunningStack, service: str) -> list[Document]:
    """A service's own lines, as documents."""
    text = (stack.state / "logs" / f"{service}.log").read_text(errors="replace")
    return [json.loads(line) for line in text.splitlines() if re.match(r"\{.*\}$", line)]


def events_told(stack: RunningStack, service: str, event: str, **fields: object) -> int:
    """How many lines of a service's log say that, with these fields."""
    wanted = {"event": event, **fields}
    return sum(wanted.items() <= line.items() for line in log_lines(stack, service))


__all__ = ["Client", "RunningStack", "events_told", "eventually", "log_lines", "logs", "running_stack", "stack"]
