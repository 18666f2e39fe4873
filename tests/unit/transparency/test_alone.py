"""The verifier runs with nothing of Akashi but its own folder, and with one package: `cryptography`."""

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import transparency
from tests.unit.transparency.building import LOG, WITNESS, a_log, as_leaves, write_export

ROOM = Path(transparency.__file__).parent
MODULES = sorted(ROOM.glob("*.py"))


@pytest.fixture
def alone(tmp_path):
    """A folder with the room and what `cryptography` is made of."""
    folder = tmp_path / "alone"
    folder.mkdir()
    (folder / "transparency").mkdir()
    for module in MODULES:
        (folder / "transparency" / module.name).write_bytes(module.read_bytes())
    for package in ("cryptography", "cffi", "_cffi_backend", "pycparser"):
        found = importlib.util.find_spec(package)
        if found is not None and found.origin is not None:
            origin = Path(found.origin)
            source = origin.parent if origin.name == "__init__.py" else origin
            (folder / source.name).symlink_to(source)
    return folder


def run(alone: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """No site packages, no user's packages, no current folder on the path."""
    environment = {"PYTHONPATH": str(alone), "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"]}
    command = [sys.executable, "-S", "-s", "-P", "-W", "error", *arguments]
    return subprocess.run(command, env=environment, cwd=alone.parent, capture_output=True, text=True, check=False)


def test_it_verifies_an_export_alone(alone, tmp_path):
    assert run(alone, "-c", "import pydantic").returncode != 0
    assert run(alone, "-c", "import schemas").returncode != 0
    folder = tmp_path / "export"
    write_export(folder, as_leaves(a_log(4)))
    arguments = ["-m", "transparency", "verify", str(folder), "--key", str(LOG.verifier)]

    done = run(alone, *arguments, "--witness", str(WITNESS.verifier))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Verified 12 leaves")

    leaves = folder / "log/leaves-0.jsonl"
    leaves.write_bytes(leaves.read_bytes().replace(b'"version":1', b'"version":2', 1))
    done = run(alone, *arguments)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == (
        "log/leaves-0.jsonl, line 1, index 0, field commitment: is not the one of this salt and document.\n"
    )


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_a_module_imports_the_standard_library_and_its_neighbours(module):
    allowed = set(sys.stdlib_module_names) | {"transparency"}
    if module.stem == "signatures":
        allowed.add("cryptography")
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        assert {name.partition(".")[0] for name in names} <= allowed


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_only_the_verifier_reads_files(module):
    reads = {"pathlib", "sqlite3", "os", "io", "tempfile", "socket", "subprocess"}
    text = module.read_text(encoding="utf-8")
    imported = {
        name.partition(".")[0]
        for node in ast.walk(ast.parse(text))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert module.stem in {"verify", "reading", "rules", "__main__"} or not imported & reads
