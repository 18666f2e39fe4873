"""What does veraPDF, the reference checker of PDF/A and PDF/UA, say about a file?

Its jars are locked, fetched and verified as Kafka's are (`deploy.local.kafka_jars`), into the same cache.
"""

import subprocess
from pathlib import Path
from typing import Final

from deploy.local import kafka_jars
from deploy.local.java import find
from deploy.local.state import cache_folder

VERSION: Final = "1.28.2"
LOCK: Final = Path(__file__).with_name("verapdf-jars.lock")


def jars() -> list[Path]:
    """The jars, on this disk and verified. Needs the network the first time."""
    return kafka_jars.kept(kafka_jars.parse_lock(LOCK.read_text()), cache_folder() / f"verapdf-{VERSION}")


def verdicts(flavour: str, files: list[Path]) -> dict[str, str]:
    """PASS or FAIL of each file by its name; `2u` is PDF/A-2u, `ua1` is PDF/UA-1. One Java for all: it starts slowly."""
    classpath = ":".join(map(str, jars()))
    # It exits with 1 when a file fails; the text says which.
    said = subprocess.run(
        [find(), "-cp", classpath, "org.verapdf.apps.GreenfieldCliWrapper", "-f", flavour, "--format", "text", *files],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = [line.split() for line in said.stdout.splitlines() if line.startswith(("PASS", "FAIL"))]
    found = {Path(words[1]).name: words[0] for words in lines}
    assert found.keys() == {file.name for file in files}, said.stderr
    return found
