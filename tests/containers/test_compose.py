"""Does `docker compose up` give a stack that is whole, closed, and gets up again by itself?"""

import json
import subprocess

import pytest

from schemas import topics
from tests.containers.compose import IMAGES, ONCE, SERVICES, Compose, left_of, part_of
from tests.support.waiting import eventually

#: The first test waits for the build, too.
pytestmark = pytest.mark.timeout(900)

#: Time for a broker that starts again, on a machine that does other things.
RECOVERY_SECONDS = 300

FOR_TLS = {"ca.pem", "tls.pem"}
OWN_SECRETS = {
    "intake": {
        "at_rest_key",
        "database_password",
        "kafka_password",
        "document_chain.pem",
        "document_key.pem",
        "private_key",
        "public_keys",
        *FOR_TLS,
    },
    "issuer": {"at_rest_key", "database_password", "kafka_password", "pepper", "private_key", "public_keys", *FOR_TLS},
    "desk": {"at_rest_key", "database_password", "kafka_password", "pepper", "private_key", "public_keys", *FOR_TLS},
    "registry": {
        "at_rest_key",
        "database_password",
        "kafka_password",
        "document_chain.pem",
        "document_key.pem",
        "log_key",
        "log_verifier_key",
        "pepper",
        "witness_verifier_key",
        *FOR_TLS,
    },
    "notifier": {"database_password", "kafka_password", "private_key", *FOR_TLS},
}

#: Where parts listen inside.
LISTENING = [
    *((name, 8000) for name in (*SERVICES, "witness")),
    ("kafka", 9092),
    ("kafka", 9093),
    ("postgres", 5432),
    ("mailbox", 1025),
    ("mailbox", 8025),
]
_PAGES = {"intake:8000", "desk:8000", "registry:8000", "mailbox:1025", "mailbox:8025"}
_STORES = {"kafka:9092", "postgres:5432"}
_WORKERS = {"issuer:8000", "notifier:8000", "intake:8000", "registry:8000"}
#: Neighbours on a network see each other; nobody sees the broker's controller.
REACHES = {
    "intake": _PAGES | _STORES | _WORKERS,
    "desk": _PAGES | _WORKERS | {"postgres:5432"},
    "registry": _PAGES | _STORES | _WORKERS | {"witness:8000"},
    "issuer": _STORES | _WORKERS | {"desk:8000"},
    "notifier": _STORES | _WORKERS | {"desk:8000", "mailbox:1025", "mailbox:8025"},
    "witness": {"witness:8000", "registry:8000"},
}

CONNECT = """
import json, socket, sys
def is_open(place):
    host, port = place.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
    except OSError:
        return False
    return True
print(json.dumps({place: is_open(place) for place in sys.argv[1:]}))
"""

#: A record that no topic takes: whoever may write is told that it is too large, and nothing is written.
WRITE_TOO_MUCH = """
import asyncio, json, sys
from aiokafka import AIOKafkaProducer
from aiokafka.errors import BrokerResponseError
from chassis.settings import ServiceSettings
async def answer(access, name):
    producer = AIOKafkaProducer(**access.options(), max_request_size=16_000_000)
    await producer.start()
    try:
        await producer.send_and_wait(name, bytes(8_000_000), key=b"x")
    except BrokerResponseError as error:
        return type(error).__name__
    finally:
        await producer.stop()
async def main(user, *names):
    access = ServiceSettings().kafka(user)
    print(json.dumps({name: await answer(access, name) for name in names}))
asyncio.run(main(*sys.argv[1:]))
"""

ASK_FOR_A_TOPIC = """
import asyncio, json, sys
from aiokafka.admin import AIOKafkaAdminClient
from console.environment import find_stack
async def main():
    admin = AIOKafkaAdminClient(**find_stack().kafka.options())
    await admin.start()
    await admin.describe_topics(sys.argv[1:])
    print(json.dumps(await admin.list_topics()))
    await admin.close()
asyncio.run(main())
"""

ENTER_DATABASE = """
import asyncio, pathlib, sys, asyncpg
role, database = sys.argv[1:]
password = pathlib.Path("/run/secrets/akashi/database_password").read_text()
async def enter():
    connection = await asyncpg.connect(host="postgres", user=role, database=database, password=password)
    print(await connection.fetchval("SELECT current_database()"))
    await connection.close()
try:
    asyncio.run(enter())
except asyncpg.PostgresError as error:
    print(type(error).__name__)
"""

ALL_SECRETS = """
import json, pathlib
print(json.dumps([file.read_text() for file in pathlib.Path("/run/secrets/akashi").rglob("*") if file.is_file()]))
"""

# --- whole ------------------------------------------------------------------------------------------------------------


def test_everything_is_healthy_after_up(stack: Compose) -> None:
    assert stack.all_healthy(), stack.health()
    ends = {part_of(one): one["State"]["ExitCode"] for one in stack.containers() if part_of(one) in ONCE}
    assert ends == dict.fromkeys(ONCE, 0)


@pytest.mark.parametrize("part", ["intake", "desk", "registry"])
def test_a_service_is_reached_from_this_machine(stack: Compose, part: str) -> None:
    assert stack.is_ready(part)


def test_the_command_of_the_operator_works_inside(stack: Compose) -> None:
    applied = json.loads(stack.console("migrate", "--status", "--json"))
    assert {migration["service"] for migration in applied} == {"intake", "issuer", "registry", "notifier"}
    assert {migration["state"] for migration in applied} == {"applied"}


def test_starting_again_changes_nothing(stack: Compose) -> None:
    before, secrets = _lives(stack), _secrets(stack)
    stack.up()
    assert _lives(stack) == before
    assert _secrets(stack) == secrets


async def test_three_issuers_share_the_work(stack: Compose) -> None:
    stack.up("--detach", "--scale", "issuer=3", "--no-recreate")
    try:
        assert len(stack.containers("issuer")) == 3
        await eventually(stack.all_healthy, RECOVERY_SECONDS)
    finally:
        stack.up("--detach", "--scale", "issuer=1", "--no-recreate")
    assert len(stack.containers("issuer")) == 1


# --- closed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", [*SERVICES, *ONCE, "witness"])
def test_a_container_of_ours_may_do_nothing_beyond_its_work(stack: Compose, part: str) -> None:
    (container,) = stack.containers(part)
    host = container["HostConfig"]
    assert container["Config"]["User"] == "10001:10001"
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert not host["Privileged"]
    writable = {mount["Destination"] for mount in container["Mounts"] if mount["RW"]}
    assert not writable or part in ("secrets", "witness")


@pytest.mark.parametrize("part", [*SERVICES, "postgres", "kafka", "mailbox", "witness"])
def test_a_container_that_loses_its_bounds_takes_the_machine_from_nobody(stack: Compose, part: str) -> None:
    (container,) = stack.containers(part)
    assert 0 < container["HostConfig"]["PidsLimit"] <= 1024
    # PostgreSQL's pages are the machine's cache.
    assert part == "postgres" or 0 < container["HostConfig"]["Memory"] <= 2 << 30


@pytest.mark.parametrize("part", [*SERVICES, "postgres", "kafka", "mailbox", "witness"])
def test_no_process_is_root_or_could_become_it(stack: Compose, part: str) -> None:
    status = dict(
        line.split(":\t", 1) for line in stack.run(part, "cat", "/proc/1/status").splitlines() if ":\t" in line
    )
    assert "0" not in status["Uid"].split()
    assert int(status["CapEff"], 16) == 0
    assert int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"


@pytest.mark.parametrize("part", SERVICES)
def test_the_program_cannot_change_itself(stack: Compose, part: str) -> None:
    attempts = "for place in /app /opt/venv /run/secrets/akashi /usr/local/bin; do touch $place/x && echo $place; done"
    assert stack.run(part, "sh", "-c", attempts, check=False) == ""


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_can_neither_install_nor_compile(stack: Compose, image: str) -> None:
    tools = "for tool in uv uvx pip pip3 gcc cc make git; do command -v $tool; done; python -m pip --version; exit 0"
    assert _in_image(stack, image, tools) == ""


#: What every service stands on, and what some draw or prove with.
ROOMS = {"chassis", "reference", "schemas", "services"}
MORE_ROOMS = {"intake": {"documents"}, "registry": {"documents", "transparency"}}


@pytest.mark.parametrize("image", [image for image in IMAGES if image != "console"])
def test_an_image_holds_one_service(stack: Compose, image: str) -> None:
    assert set(_in_image(stack, image, "ls /app").split()) == ROOMS | MORE_ROOMS.get(image, set())
    assert _in_image(stack, image, "ls -d /app/services/*/").split() == [
        "/app/services/__pycache__/",
        f"/app/services/{image}/",
    ]


@pytest.mark.parametrize("part", SERVICES)
def test_a_service_sees_its_own_secrets_only(stack: Compose, part: str) -> None:
    assert set(stack.run(part, "ls", "-A", "/run/secrets/akashi").split()) == OWN_SECRETS[part]
    modes = stack.run(part, "find", "/run/secrets/akashi", "-printf", "%y %m %u\n").splitlines()
    assert set(modes) <= {"d 700 akashi", "f 600 akashi"}


def test_no_secret_is_in_what_the_engine_tells(stack: Compose) -> None:
    told = json.dumps(stack.containers())
    for image in IMAGES:
        told += subprocess.check_output(["docker", "image", "inspect", f"akashi-{image}:{stack.project}"], text=True)
    told += stack.compose("config") + stack.compose("logs", "--no-color")
    secrets = _secrets(stack)
    assert len(secrets) > 10
    assert not [secret for secret in secrets if secret in told]


def test_the_database_server_can_read_one_password(stack: Compose) -> None:
    folder = "/run/secrets/akashi/postgres"
    assert stack.run("postgres", "cat", f"{folder}/superuser_password")
    assert stack.run("postgres", "cat", f"{folder}/intake_password", check=False) == ""


@pytest.mark.parametrize("service", ["intake", "issuer", "registry", "notifier"])
def test_a_service_enters_its_own_database_and_no_other(stack: Compose, service: str) -> None:
    def enter(role: str, database: str) -> str:
        return stack.run(service, "python", "-c", ENTER_DATABASE, role, database).strip()

    others = {"intake", "issuer", "registry", "notifier"} - {service}
    assert enter(service, service) == service
    assert {enter(service, other) for other in others} == {"InsufficientPrivilegeError"}
    assert enter(service, "postgres") == "InsufficientPrivilegeError"
    assert {enter(other, other) for other in others} == {"InvalidPasswordError"}


def test_nothing_is_open_to_other_machines(stack: Compose) -> None:
    published = {
        (part_of(container), binding["HostIp"])
        for container in stack.containers()
        for bindings in (container["NetworkSettings"]["Ports"] or {}).values()
        for binding in bindings or ()
    }
    assert published == {(part, "127.0.0.1") for part in ("intake", "desk", "registry", "mailbox")}


def test_topics_are_made_by_setup_only(stack: Compose) -> None:
    assert json.loads(stack.console("topics", "check", "--json")) == {"equal": True, "differences": []}
    # A broker that makes topics would make this one now, because it is asked for.
    stack.inside(ASK_FOR_A_TOPIC, "nobody-made-this")
    known = json.loads(stack.inside(ASK_FOR_A_TOPIC, "nobody-made-this"))
    assert {topic.name for topic in topics.BUSINESS} <= set(known)
    assert "nobody-made-this" not in known


@pytest.mark.parametrize("service", ["intake", "issuer", "registry", "notifier"])
def test_a_service_writes_its_own_topics_and_no_others(stack: Compose, service: str) -> None:
    names = [topic.name for topic in topics.BUSINESS]
    own = [of(group) for group in topics.GROUPS for of in (topics.dead_letters, topics.redrive)]

    told = json.loads(stack.run(service, "python", "-c", WRITE_TOO_MUCH, service, *names, *own))

    mine = {topic.name for topic in topics.BUSINESS if topic.writer == service} | {topics.dead_letters(service)}
    refused = dict.fromkeys({*names, *own} - mine, "TopicAuthorizationFailedError")
    assert told == dict.fromkeys(mine, "MessageSizeTooLargeError") | refused


@pytest.mark.parametrize("part", REACHES)
def test_a_part_reaches_those_whom_it_needs(stack: Compose, part: str) -> None:
    told = json.loads(stack.run(part, "python", "-c", CONNECT, *(f"{name}:{port}" for name, port in LISTENING)))
    assert {place for place, is_open in told.items() if is_open} == REACHES[part]


# --- gets up again ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("neighbour", ["kafka", "postgres"])
async def test_a_killed_neighbour_is_missed_and_found_again(stack: Compose, neighbour: str) -> None:
    before = {name: restarts for name, (_, _, restarts) in _lives(stack).items()}
    stack.engine(["kill", "--signal", "KILL"], neighbour)
    try:
        await eventually(lambda: not stack.is_ready("intake"), RECOVERY_SECONDS)
        assert _answers_live(stack, "intake"), "an outage elsewhere is no reason to be restarted"
    finally:
        stack.engine(["start"], neighbour)
    await _recovered(stack)
    assert {name: restarts for name, (_, _, restarts) in _lives(stack).items()} == before


async def test_services_wait_for_neighbours_that_come_later(stack: Compose) -> None:
    stack.compose("stop")
    for service in SERVICES:
        stack.engine(["start"], service)
    await eventually(lambda: _answers_live(stack, "intake"), RECOVERY_SECONDS)
    assert not stack.is_ready("intake")
    for neighbour in ("kafka", "postgres", "mailbox", "witness"):
        stack.engine(["start"], neighbour)
    await _recovered(stack)


@pytest.mark.parametrize("part", SERVICES)
def test_a_stop_is_heard(stack: Compose, part: str) -> None:
    stack.compose("stop", part)
    (container,) = stack.containers(part)
    said = stack.compose("logs", "--no-color", "--no-log-prefix", "--tail", "20", part)
    stack.compose("up", "--wait", "--no-deps", "--no-recreate", part)
    # 143 would be a process that ended by the signal, 137 one that had to be killed.
    assert container["State"]["ExitCode"] == 0
    assert '"service.down"' in said


def test_down_leaves_nothing() -> None:
    with Compose.fresh() as stack:
        stack.compose("up", "--no-start", "--no-build", "mailbox")
        assert left_of(stack.project)["containers"]
    assert not any(left_of(stack.project).values())


# --- how it is looked at ----------------------------------------------------------------------------------------------


async def _recovered(stack: Compose) -> None:
    """By what each service says now, asked inside its container; then by the engine's own checks.

    A container that was started again is `starting` to the engine until a check of its new life passed.
    """
    for part in SERVICES:
        await eventually(lambda part=part: _answers(stack, part, "ready"), RECOVERY_SECONDS, every_seconds=1)  # type: ignore[misc]
    await eventually(stack.all_healthy, RECOVERY_SECONDS, every_seconds=1)


def _lives(stack: Compose) -> dict[str, tuple[str, str, int]]:
    """Container → which one it is, since when, and how often the engine had to start it again."""
    return {
        one["Name"]: (one["Id"], one["State"]["StartedAt"], one["RestartCount"])
        for one in stack.containers()
        if part_of(one) not in ONCE
    }


def _secrets(stack: Compose) -> set[str]:
    return set(json.loads(stack.inside(ALL_SECRETS)))


def _in_image(stack: Compose, image: str, script: str) -> str:
    run = ["docker", "run", "--rm", "--network", "none", "--entrypoint", "sh", f"akashi-{image}:{stack.project}"]
    return subprocess.run([*run, "-c", script], capture_output=True, text=True, check=True, timeout=120).stdout


def _answers_live(stack: Compose, part: str) -> bool:
    return _answers(stack, part, "live")


def _answers(stack: Compose, part: str, question: str) -> bool:
    asked = (
        f"import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health/{question}', timeout=10); print('yes')"
    )
    return "yes" in stack.run(part, "python", "-c", asked, check=False)
