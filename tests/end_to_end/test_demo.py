"""`akashi demo --once` succeeds on a whole stack, and fails on one with a part missing."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.support.stack import in_containers, open_folder

#: Left out one by one. The others fail alike; these are the quiet ones.
PARTS = ("registry", "notifier")


async def _demo(state: Path, *options: str) -> tuple[int, str]:
    own = {
        name: value for name, value in os.environ.items() if not name.startswith("AKASHI_") or name == "AKASHI_CACHE"
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "console.main", "demo", "--once", *options),
        env={**own, "AKASHI_STATE": str(state), "AKASHI_DEMO_SECONDS": "60" if not options else "10"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


@pytest.mark.timeout(420)
async def test_the_demo_succeeds_and_fails_when_a_part_is_taken_away() -> None:
    if in_containers():
        pytest.skip("the demo brings up the local stack")
    with open_folder() as folder:
        code, output = await _demo(folder / "state")
        assert code == 0, output
        assert "All 7 applications came to what they must" in output
        for part in PARTS:
            code, output = await _demo(folder / "state", "--without", part)
            assert code == 1, f"without {part}: {output}"
