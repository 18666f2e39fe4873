"""The HTTP contract of each service, as committed in `services/<name>/openapi.json`."""

import json
from collections.abc import Sequence
from pathlib import Path

from chassis.service import make_app
from console.services import make_service
from deploy.local.problem import Problem
from deploy.local.state import CLONE


def document(name: str) -> str:
    """The OpenAPI document of a service: the same text on every machine."""
    openapi = make_app(make_service(name)).openapi()
    return json.dumps(openapi, ensure_ascii=False, indent=2) + "\n"


def path_of(name: str, root: Path = CLONE) -> Path:
    folder = root / "services" / name
    if not folder.is_dir():
        raise Problem(f"{folder} is missing: run this in a clone of the project.")
    return folder / "openapi.json"


def generate(names: Sequence[str], root: Path = CLONE) -> list[Path]:
    """Write what changed, and return it."""
    written = []
    for name in names:
        path, text = path_of(name, root), document(name)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            written.append(path)
    return written


def check(names: Sequence[str], root: Path = CLONE) -> list[str]:
    """What is not as it would be generated, a sentence each."""
    faults = []
    for name in names:
        path = path_of(name, root)
        if not path.exists():
            faults.append(f"{path.relative_to(root)} is missing: run `akashi openapi generate`.")
        elif path.read_text(encoding="utf-8") != document(name):
            faults.append(f"{path.relative_to(root)} is stale: run `akashi openapi generate`.")
    return faults
