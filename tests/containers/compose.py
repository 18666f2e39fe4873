"""The stack in containers, as a user starts it: `docker compose` on the project's own files, under another name.

    with Compose.fresh() as stack:
        stack.up()
        stack.url("intake")                     # http://127.0.0.1:…
        stack.console("tokens", "--help")       # the `akashi` command inside, with every address and secret

Nothing is left of it when the block ends.
"""

import contextlib
import json
import os
import socket
import subprocess
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

CLONE: Final = Path(__file__).resolve().parents[2]
#: Those whose image is ours, and that keep running.
SERVICES: Final = ("intake", "issuer", "desk", "registry", "notifier")
#: They do their work and end.
ONCE: Final = ("secrets", "setup")
#: Host port → the variable that sets it.
PORTS: Final = {
    "intake": "AKASHI_INTAKE_PORT",
    "desk": "AKASHI_DESK_PORT",
    "registry": "AKASHI_REGISTRY_PORT",
    "mailbox": "AKASHI_MAILBOX_PORT",
}
IMAGES: Final = ("intake", "issuer", "registry", "notifier", "console")
#: Building without any cache, on a machine that does other things.
_UP_SECONDS: Final = 600
_PATIENCE_SECONDS: Final = 180


def why_not() -> str:
    """Why this machine can't run the stack in containers; empty when it can."""
    for question in (["docker", "compose", "version"], ["docker", "version", "--format", "{{.Server.Version}}"]):
        try:
            asked = subprocess.run(question, capture_output=True, text=True, check=False, timeout=30)
        except (FileNotFoundError, subprocess.TimeoutExpired):
            return f"`{' '.join(question)}` does not answer here"
        if asked.returncode:
            return f"`{' '.join(question)}`: {(asked.stderr or asked.stdout).strip()}"
    return ""


@dataclass(frozen=True)
class Compose:
    """One stack: its project's name is its own, and so are its ports, volumes and images' tag."""

    project: str
    ports: dict[str, int]
    #: Of which it is put together.
    files: tuple[str, ...] = ("compose.yaml",)

    @classmethod
    @contextlib.contextmanager
    def fresh(cls, *more: str) -> Iterator[Self]:
        """A stack that does not run yet, and of which nothing is left afterwards. `more` files change what it is."""
        files = ("compose.yaml", *more)
        stack = cls(project=f"akashi-test-{uuid.uuid4().hex[:8]}", ports=_free_ports(PORTS), files=files)
        try:
            yield stack
        finally:
            stack.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "10")
            tags = [f"akashi-{image}:{stack.project}" for image in IMAGES]
            subprocess.run(["docker", "image", "rm", "--force", *tags], capture_output=True, check=False)

    # --- addresses ----------------------------------------------------------------------------------------------

    def url(self, part: str) -> str:
        """`intake`, `desk`, `registry` or `mailbox`, as seen from this machine."""
        return f"http://127.0.0.1:{self.ports[part]}"

    # --- what can be done -----------------------------------------------------------------------------------------

    def compose(self, *arguments: str, check: bool = True, timeout: float = _PATIENCE_SECONDS) -> str:
        """`docker compose …` of this project; its standard output."""
        ports = {variable: str(self.ports[name]) for name, variable in PORTS.items()}
        files = [option for file in self.files for option in ("--file", file)]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AKASHI_")}
        done = subprocess.run(
            ["docker", "compose", *files, "--project-name", self.project, "--progress", "plain", *arguments],
            cwd=CLONE,
            env={**inherited, **ports, "AKASHI_TAG": self.project},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        said = f"{done.stdout}\n{done.stderr}"[-40_000:]
        assert not check or done.returncode == 0, f"docker compose {' '.join(arguments)}: {done.returncode}\n{said}"
        return done.stdout

    def up(self, *arguments: str) -> None:
        """As a user starts it; returns when every health check passes."""
        try:
            self.compose("up", "--build", "--wait", *arguments, timeout=_UP_SECONDS)
        except AssertionError as failed:
            logs = self.compose("logs", "--no-color", "--tail", "30", check=False)
            raise AssertionError(f"{failed}\n{logs[-8000:]}") from None

    def console(self, *arguments: str, check: bool = True, **settings: str) -> str:
        """The `akashi` command in its own container; its standard output. `settings` are more of its environment."""
        given = [option for name, value in settings.items() for option in ("--env", f"{name}={value}")]
        return self.compose("run", "--rm", "--no-deps", "-T", *given, "console", *arguments, check=check)

    def inside(self, script: str, *arguments: str) -> str:
        """A Python program in the console's container; its standard output."""
        console = ("run", "--rm", "--no-deps", "-T", "--entrypoint", "python", "console")
        return self.compose(*console, "-c", script, *arguments)

    def run(self, part: str, *command: str, user: str | None = None, check: bool = True) -> str:
        """A command inside a running container, as the container's user unless another is named."""
        return self.compose("exec", "-T", *(["--user", user] if user else []), part, *command, check=check)

    def containers(self, part: str | None = None) -> list[dict[str, Any]]:
        """What the engine knows of the containers of a part, or of all parts."""
        names = self.compose("ps", "--all", "--quiet", *([part] if part else [])).split()
        return list(json.loads(_docker("inspect", *names))) if names else []

    def engine(self, verb: Sequence[str], part: str) -> None:
        """`docker kill`, `docker start` … of the containers of a part, behind the back of compose."""
        _docker(*verb, *(container["Id"] for container in self.containers(part)))

    # --- what can be seen -----------------------------------------------------------------------------------------

    def health(self) -> dict[str, str]:
        """Container → what its health check said last, of all that should be running."""
        running = [one for one in self.containers() if part_of(one) not in ONCE]
        return {one["Name"].strip("/"): one["State"].get("Health", {}).get("Status", "none") for one in running}

    def all_healthy(self) -> bool:
        return set(self.health().values()) == {"healthy"}

    def is_ready(self, part: str) -> bool:
        """Whether a service says, now, that it can do its work."""
        try:
            with urllib.request.urlopen(f"{self.url(part)}/health/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def part_of(container: dict[str, Any]) -> str:
    """The name that the compose file gives it."""
    return str(container["Config"]["Labels"]["com.docker.compose.service"])


def left_of(project: str) -> dict[str, list[str]]:
    """What the engine still keeps of a project."""
    label = ["--filter", f"label=com.docker.compose.project={project}", "--quiet"]
    return {
        "containers": _docker("ps", "--all", *label).split(),
        "volumes": _docker("volume", "ls", *label).split(),
        "networks": _docker("network", "ls", *label).split(),
    }


def _docker(*arguments: str) -> str:
    return subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=True, timeout=_PATIENCE_SECONDS
    ).stdout


def _free_ports(names: Sequence[str] | dict[str, str]) -> dict[str, int]:
    """A port that nobody listens on for each name; all held at once, so that they differ."""
    with contextlib.ExitStack() as held:
        ports = {}
        for name in names:
            taken = held.enter_context(socket.socket())
            taken.bind(("127.0.0.1", 0))
            ports[name] = taken.getsockname()[1]
        return ports
