"""How does anything that starts the stack tell a person what went wrong?"""

from collections.abc import Sequence
from pathlib import Path


class Problem(Exception):
    """One sentence for the person at the terminal: what is wrong and what to do about it."""


def last_lines(log: Path, count: int = 3) -> str:
    """The end of a log, on one line, for use inside a sentence."""
    try:
        lines: Sequence[str] = log.read_text(errors="replace").splitlines()
    except OSError:
        return "it wrote no log"
    return " | ".join(line.strip() for line in lines[-count:] if line.strip()) or "its log is empty"
