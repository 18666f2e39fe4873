"""How does a client reach Kafka, and as whom?"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

from chassis.tls import trusting

#: As Kafka calls it: `security.protocol`. PLAINTEXT is for a broker that asks nobody who they are.
#: SASL_SSL: whoever asks who we are shows first who it is, and nobody between reads along.
SecurityProtocol = Literal["PLAINTEXT", "SASL_PLAINTEXT", "SASL_SSL"]
#: The setting that says so.
PROTOCOL: Final = "AKASHI_KAFKA_SECURITY_PROTOCOL"

#: Users beside the services. The first two may do everything.
BROKER: Final = "broker"
ADMINISTRATOR: Final = "admin"
OPERATOR: Final = "operator"

_MECHANISM: Final = "PLAIN"
_BROKER: Final = re.compile(r"(?:[\w.-]+|\[[0-9a-fA-F:.]+\])(?::([0-9]{1,5}))?")

# That passwords pass in the clear where there is no TLS is said in docs/decisions/0036, not at every connection.
logging.getLogger("aiokafka.conn").addFilter(lambda record: "in the clear" not in record.getMessage())


@dataclass(frozen=True)
class KafkaAccess:
    """Where the cluster is, and what one of its users says to be let in."""

    bootstrap: str
    protocol: SecurityProtocol = "PLAINTEXT"
    user: str = ""
    password: str = field(default="", repr=False)
    #: With SASL_SSL: whose certificates count. The system's authorities' when there is none.
    ca_file: Path | None = None

    def options(self) -> dict[str, Any]:
        """Arguments of every aiokafka client. Raises `CertificateUnusable`."""
        return {"bootstrap_servers": self.bootstrap, **self.security()}

    def security(self) -> dict[str, Any]:
        """The part of `options` that says as whom."""
        if self.protocol == "PLAINTEXT":
            return {}
        over_tls = {"ssl_context": trusting(self.ca_file)} if self.protocol == "SASL_SSL" else {}
        return {
            **over_tls,
            "security_protocol": self.protocol,
            "sasl_mechanism": _MECHANISM,
            "sasl_plain_username": self.user,
            "sasl_plain_password": self.password,
        }


def bootstrap_of(text: str) -> str:
    """Brokers as aiokafka takes them, `host` or `host:port`, separated by commas. Raises `ValueError` for others."""
    for broker in text.split(","):
        found = _BROKER.fullmatch(broker.strip())
        if found is None or not 0 < int(found[1] or 1) < 65536:  # noqa: PLR2004 - ports
            raise ValueError(f'"{broker}" is no broker: write host:port, several separated by commas')
    return text


def protocol_of(environment: Mapping[str, str]) -> SecurityProtocol:
    """What the environment says. Raises `ValueError` where that is none."""
    match environment.get(PROTOCOL) or "SASL_PLAINTEXT":
        case "PLAINTEXT" | "SASL_PLAINTEXT" | "SASL_SSL" as named:
            return named
        case other:
            raise ValueError(f"{PROTOCOL} is {other!r}: set one of {', '.join(get_args(SecurityProtocol))}")
