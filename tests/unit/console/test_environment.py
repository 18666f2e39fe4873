"""Which stack a command is about."""

import fcntl
from collections.abc import Iterator
from pathlib import Path

import pytest

from chassis.kafka import KafkaAccess
from console.environment import Stack, find_http_ca, find_stack
from deploy.local import status
from deploy.local.problem import Problem
from deploy.local.status import PartStatus, StackStatus

NAMED = {
    "AKASHI_KAFKA_BOOTSTRAP": "kafka:9092",
    "AKASHI_POSTGRES_HOST": "postgres",
    "AKASHI_POSTGRES_PORT": "5433",
    "AKASHI_SECRETS_DIR": "/run/secrets/akashi",
}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Path]:
    """The state of a local stack that a supervisor holds."""
    parts = [PartStatus("kafka", address="127.0.0.1:8192"), PartStatus("postgres", address="127.0.0.1:8132")]
    status.write(tmp_path, StackStatus(1, "1", parts=parts))
    with (tmp_path / "supervisor.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield tmp_path


def test_the_environment_names_a_stack(tmp_path: Path) -> None:
    found = find_stack({**NAMED, "AKASHI_STATE": str(tmp_path)})

    assert found == Stack("kafka:9092", "postgres", 5433, Path("/run/secrets/akashi"))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *(("AKASHI_POSTGRES_PORT", port) for port in ("0", "99999", "abc", "-1")),
        *(
            ("AKASHI_KAFKA_BOOTSTRAP", given)
            for given in ("kafka:abc", "kafka:99999", "kafka:0", "a:1,,b:1", "::1:9092")
        ),
    ],
)
def test_an_address_that_is_none_is_named(tmp_path: Path, variable: str, value: str) -> None:
    with pytest.raises(Problem, match=variable):
        find_stack({**NAMED, "AKASHI_STATE": str(tmp_path), variable: value})


@pytest.mark.parametrize("brokers", ["kafka", "kafka:9092", "[::1]:9092", "10.0.0.1:9092,b-2.kafka.example:65535"])
def test_brokers_are_written_as_kafka_writes_them(tmp_path: Path, brokers: str) -> None:
    assert (
        find_stack({**NAMED, "AKASHI_STATE": str(tmp_path), "AKASHI_KAFKA_BOOTSTRAP": brokers}).kafka_bootstrap
        == brokers
    )


def test_without_a_word_it_is_the_local_stack(running: Path) -> None:
    found = find_stack({"AKASHI_STATE": str(running)})

    assert found == Stack("127.0.0.1:8192", "127.0.0.1", 8132, running / "secrets")


def test_what_the_environment_leaves_open_is_the_local_stacks(running: Path) -> None:
    found = find_stack({"AKASHI_STATE": str(running), "AKASHI_KAFKA_BOOTSTRAP": "kafka:9092"})

    assert found == Stack("kafka:9092", "127.0.0.1", 8132, running / "secrets")


def test_a_local_stack_that_speaks_tls_is_spoken_to_so(running: Path) -> None:
    parts = [PartStatus("kafka", address="127.0.0.1:8192"), PartStatus("postgres", address="127.0.0.1:8132")]
    status.write(running, StackStatus(1, "1", tls=True, parts=parts))
    ca_file = running / "secrets" / "operator" / "ca.pem"

    found = find_stack({"AKASHI_STATE": str(running)})

    assert (found.kafka_security_protocol, found.kafka_ca_file, found.postgres_ca_file) == (
        "SASL_SSL",
        ca_file,
        ca_file,
    )
    assert find_http_ca({"AKASHI_STATE": str(running)}) == ca_file
    named = find_stack({**NAMED, "AKASHI_STATE": str(running)})
    assert (named.kafka_security_protocol, named.kafka_ca_file, named.postgres_ca_file) == (
        "SASL_PLAINTEXT",
        None,
        None,
    )


def test_the_environment_names_whom_to_trust(tmp_path: Path) -> None:
    tls = {
        "AKASHI_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "AKASHI_KAFKA_CA_FILE": "/ca/kafka.pem",
        "AKASHI_POSTGRES_CA_FILE": "/ca/postgres.pem",
        "AKASHI_HTTP_CA_FILE": "/ca/http.pem",
    }

    found = find_stack({**NAMED, **tls, "AKASHI_STATE": str(tmp_path)})

    assert (found.kafka_ca_file, found.postgres_ca_file) == (Path("/ca/kafka.pem"), Path("/ca/postgres.pem"))
    assert find_http_ca({**tls, "AKASHI_STATE": str(tmp_path)}) == Path("/ca/http.pem")
    assert find_http_ca({"AKASHI_STATE": str(tmp_path)}) is None


def test_whom_to_trust_without_tls_is_a_mistake_and_told(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="AKASHI_KAFKA_CA_FILE says whom to trust over TLS"):
        find_stack({**NAMED, "AKASHI_STATE": str(tmp_path), "AKASHI_KAFKA_CA_FILE": "/ca.pem"})


def test_a_host_alone_is_asked_at_the_usual_port(tmp_path: Path) -> None:
    named = {name: value for name, value in NAMED.items() if name != "AKASHI_POSTGRES_PORT"}

    assert find_stack({**named, "AKASHI_STATE": str(tmp_path)}).postgres_port == 5432


def test_a_command_for_kafka_alone_needs_no_database(tmp_path: Path) -> None:
    (tmp_path / "operator").mkdir()
    (tmp_path / "operator" / "kafka_password").write_text("secret\n")
    state, kafka = {"AKASHI_STATE": str(tmp_path)}, {"AKASHI_KAFKA_BOOTSTRAP": "kafka:9092"}

    asked = find_stack({**state, **kafka, "AKASHI_SECRETS_DIR": str(tmp_path)}, postgres=False).kafka
    unasked = find_stack({**state, **kafka, "AKASHI_KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}, postgres=False).kafka

    assert asked == KafkaAccess("kafka:9092", "SASL_PLAINTEXT", "operator", "secret")
    assert unasked.options() == {"bootstrap_servers": "kafka:9092"}
    assert "secret" not in repr(asked)


def test_a_protocol_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="AKASHI_KAFKA_SECURITY_PROTOCOL is 'SSL'"):
        find_stack({**NAMED, "AKASHI_STATE": str(tmp_path), "AKASHI_KAFKA_SECURITY_PROTOCOL": "SSL"})


def test_a_command_for_the_database_alone_needs_no_kafka(tmp_path: Path) -> None:
    named = {name: value for name, value in NAMED.items() if name != "AKASHI_KAFKA_BOOTSTRAP"}

    assert find_stack({**named, "AKASHI_STATE": str(tmp_path)}, kafka=False).postgres_host == "postgres"


def test_where_there_is_no_stack_the_problem_says_how_to_have_one(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="akashi up"):
        find_stack({"AKASHI_STATE": str(tmp_path)})


def test_a_stack_that_was_stopped_is_not_asked(tmp_path: Path) -> None:
    status.write(tmp_path, StackStatus(1, "1", parts=[PartStatus("kafka", address="127.0.0.1:8192")]))

    with pytest.raises(Problem, match="does not run"):
        find_stack({"AKASHI_STATE": str(tmp_path)})


def test_a_part_that_was_left_out_is_missed_by_name(tmp_path: Path, running: Path) -> None:
    status.write(running, StackStatus(1, "1", parts=[PartStatus("kafka", address="127.0.0.1:8192")]))

    with pytest.raises(Problem, match="without postgres"):
        find_stack({"AKASHI_STATE": str(running)})


def test_a_port_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="AKASHI_POSTGRES_PORT"):
        find_stack({**NAMED, "AKASHI_STATE": str(tmp_path), "AKASHI_POSTGRES_PORT": "x"})


def test_a_secret_is_read_without_its_line_break(tmp_path: Path) -> None:
    (tmp_path / "issuer").mkdir()
    (tmp_path / "issuer" / "database_password").write_text("s3cret\n")

    assert Stack("", "", 0, tmp_path).secret("issuer/database_password") == "s3cret"


def test_a_secret_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"issuer/database_password.*AKASHI_SECRETS_DIR"):
        Stack("", "", 0, tmp_path).secret("issuer/database_password")
