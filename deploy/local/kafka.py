"""A real Kafka broker on this machine, without Docker: KRaft, one node, its data in one folder."""

import base64
import os
import socket
import struct
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chassis.kafka import ADMINISTRATOR, BROKER, KafkaAccess, SecurityProtocol
from chassis.tls import trusting
from deploy.local import java, kafka_jars
from deploy.local.problem import Problem
from deploy.local.process import LocalProcess
from deploy.local.state import free_port

_LOG4J = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %-5p %m (%c{1})%n
rootLogger.level = INFO
rootLogger.appenderRef.out.ref = out
# Several hundred lines of settings at every start.
logger.settings.name = org.apache.kafka.common.config
logger.settings.level = WARN
"""


_METADATA, _SASL_HANDSHAKE, _SASL_AUTHENTICATE = 3, 17, 36

#: Who one is, and who may do what. Nobody may do what no rule says.
_AUTHORIZED: Mapping[str, str] = {
    "sasl.enabled.mechanisms": "PLAIN",
    "sasl.mechanism.inter.broker.protocol": "PLAIN",
    "sasl.mechanism.controller.protocol": "PLAIN",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": f"User:{BROKER};User:{ADMINISTRATOR}",
    "allow.everyone.if.no.acl.found": "false",
}


class LocalKafka(LocalProcess):
    """One broker that is its own controller, on 127.0.0.1 only.

    With `secrets` (the folder that `deploy.secrets` fills) it asks everybody who they are, and lets them do what the
    rules of `chassis.kafka_acls` say; without, it lets everybody do everything. With `tls`, too, it first shows who it
    is, and hears nobody who does not speak TLS.

    Keeps topics, offsets and messages over `stop` and `kill`; the port may be another one at the next start.
    """

    name = "kafka"

    def __init__(
        self,
        state: Path,
        port: int,
        *,
        secrets: Path | None = None,
        tls: bool = False,
        append_linger_ms: int = 0,
        progress: kafka_jars.Progress | None = None,
    ) -> None:
        super().__init__(state, port)
        self._secrets = secrets
        assert secrets is not None or not tls, "certificates are among the secrets"
        self._tls = tls
        self._append_linger_ms = append_linger_ms
        self._progress = progress
        #: Of a storage that is not formatted yet.
        self.cluster_id = new_cluster_id()
        self._logs = self.state / "data"
        self._settings = self.state / "server.properties"

    def access(self, user: str) -> KafkaAccess:
        """How one of its users reaches it."""
        password = (self._secrets / user / "kafka_password").read_text() if self._secrets else ""
        return KafkaAccess(self.address, self.protocol, user, password, ca_file=self._ca_file(user))

    @property
    def protocol(self) -> SecurityProtocol:
        if self._tls:
            return "SASL_SSL"
        return "SASL_PLAINTEXT" if self._secrets else "PLAINTEXT"

    def _ca_file(self, user: str) -> Path | None:
        return self._secrets / user / "ca.pem" if self._secrets and self._tls else None

    def prepare(self) -> None:
        """Fetch the jars if they are not here, format the storage once, write this start's settings."""
        self._jars = kafka_jars.ensure_jars(self._progress)
        self._java = java.find()
        self.state.mkdir(parents=True, exist_ok=True)
        (self.state / "log4j2.properties").write_text(_LOG4J)
        controller_port = self.choose_controller_port()
        self._settings.write_text(_properties(self.settings(self._logs, controller_port)))
        if not self._logs.exists():
            self._format(controller_port)

    def choose_controller_port(self) -> int:
        return free_port(self.port + 1, taken=[self.port])

    def command(self) -> list[str]:
        return [
            str(self._java),
            "-Xmx384m",
            "-XX:+UseSerialGC",
            # Half of the processor time to start: what lives for minutes does not earn the better compiler's work.
            "-XX:TieredStopAtLevel=1",
            "-XX:+ExitOnOutOfMemoryError",
            f"-Dlog4j2.configurationFile={self.state / 'log4j2.properties'}",
            *([f"-Djava.security.auth.login.config={self._secrets / 'broker' / 'jaas.conf'}"] if self._secrets else []),
            "kafka.Kafka",
            str(self._settings),
        ]

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C.UTF-8",
            "CLASSPATH": os.pathsep.join(map(str, self._jars)),
        }

    def is_ready(self) -> bool:
        """Whether it names itself among the brokers that may lead partitions: an open port alone comes earlier."""
        try:
            with self._connected() as connection:
                if self._secrets:
                    login = f"\0{BROKER}\0{(self._secrets / BROKER / 'kafka_password').read_text()}".encode()
                    _ask(connection, _SASL_HANDSHAKE, 1, struct.pack(">h", 5) + b"PLAIN")
                    _ask(connection, _SASL_AUTHENTICATE, 0, struct.pack(">i", len(login)) + login)
                # Of no topic; the answer begins with the number of brokers.
                answer = _ask(connection, _METADATA, 1, struct.pack(">i", 0))
        except (OSError, struct.error):
            return False
        return len(answer) >= 4 and struct.unpack(">i", answer[:4]) >= (1,)  # noqa: PLR2004 - a number's four bytes

    def _connected(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=1)
        if not self._tls:
            return connection
        return trusting(self._ca_file(BROKER)).wrap_socket(connection, server_hostname="127.0.0.1")

    def settings(self, logs: Path, controller_port: int) -> dict[str, Any]:
        """What `server.properties` says."""
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            # Not written into the log (as a dynamic quorum's would be), so that the port may change.
            "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
            "listeners": f"BROKER://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller_port}",
            "advertised.listeners": f"BROKER://127.0.0.1:{self.port}",
            "listener.security.protocol.map": f"BROKER:{self.protocol},CONTROLLER:{self.protocol}",
            **(_AUTHORIZED if self._secrets else {}),
            **(self._certificates() if self._tls else {}),
            "inter.broker.listener.name": "BROKER",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": logs,
            "auto.create.topics.enable": "false",
            "default.replication.factor": 1,
            "min.insync.replicas": 1,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 8,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 8,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "share.coordinator.state.topic.num.partitions": 4,
            # A group that stood still for a holiday continues where it was.
            "offsets.retention.minutes": 365 * 24 * 60,
            "group.initial.rebalance.delay.ms": 0,
            # The default of 5 ms gathers the commits of many clients; with one machine's few it is only waiting.
            "group.coordinator.append.linger.ms": self._append_linger_ms,
            # After a crash the controller takes the broker's new life for a double until the old one's session ends,
            # 9 s by default. Shorter than this, a machine that stalls would fence its only broker.
            "broker.session.timeout.ms": 4500,
            "broker.heartbeat.interval.ms": 500,
            "num.network.threads": 2,
            "num.io.threads": 4,
            # The defaults take a third of this heap, and 20 MB of address space per partition.
            "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
            "log.index.size.max.bytes": 1024 * 1024,
        }

    def _certificates(self) -> dict[str, Any]:
        """What it shows, and whom it believes among brokers and controllers. Kafka checks names unasked."""
        assert self._secrets is not None
        return {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self._secrets / BROKER / "tls.pem",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self._ca_file(BROKER),
        }

    def _format(self, controller_port: int) -> None:
        fresh = self._logs.with_suffix(".new")
        settings = self.state / "format.properties"
        settings.write_text(_properties(self.settings(fresh, controller_port)))
        tool = [str(self._java), "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format"]
        done = subprocess.run(
            [*tool, "--ignore-formatted", "-t", self.cluster_id, "-c", str(settings)],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
            raise Problem(f"Kafka's storage in {self.state} could not be formatted: {said[-1]}.")
        # Only a complete format takes this name, so an interrupted one is done again.
        fresh.rename(self._logs)
        settings.unlink()


def _ask(connection: socket.socket, api: int, version: int, body: bytes) -> bytes:
    """What the broker answers, after length and correlation. https://kafka.apache.org/protocol.html#protocol_messages"""
    request = struct.pack(">hhih", api, version, 1, -1) + body
    connection.sendall(struct.pack(">i", len(request)) + request)
    answer = connection.makefile("rb")
    (length,) = struct.unpack(">i", answer.read(4))
    return answer.read(length)[4:]


def _properties(settings: Mapping[str, Any]) -> str:
    return "".join(f"{key}={_escaped(str(value))}\n" for key, value in settings.items())


def _escaped(value: str) -> str:
    """As Java reads it: Latin-1, with a backslash for whatever else there is (`java.util.Properties.load`)."""
    units = value.encode("utf-16-be", "surrogatepass")
    characters = (int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2))
    return "".join(chr(c) if 0x20 < c < 0x7F and c != 0x5C else f"\\u{c:04x}" for c in characters)  # noqa: PLR2004


def new_cluster_id() -> str:
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return text


if __name__ == "__main__":
    if sys.argv[1:] != ["lock"]:
        sys.exit("usage: python -m deploy.local.kafka lock")
    kafka_jars.write_lock()
