"""`python -m schemas generate` writes what is published; `python -m schemas check` tells what is wrong with it."""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from schemas import publish


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 1 where something is wrong, with one line for each fault on stderr."""
    parser = argparse.ArgumentParser(prog="python -m schemas", description=__doc__)
    parser.add_argument("command", choices=("generate", "check"))
    parser.add_argument("--folder", type=Path, default=publish.ROOT, help="holds published/ and examples/")
    parser.add_argument(
        "--against", metavar="REVISION", help="check: also compare with what this git revision published"
    )
    wanted = parser.parse_args(arguments)
    if wanted.command == "generate":
        try:
            written = publish.generate(wanted.folder)
        except publish.IncompatibleChange as change:
            return _tell(change.faults)
        sys.stdout.writelines(f"wrote {path}\n" for path in written)
        return 0
    faults = publish.check(wanted.folder)
    if wanted.against:
        try:
            faults += publish.check_against(wanted.against, wanted.folder)
        except subprocess.CalledProcessError as error:
            faults.append(f"Cannot compare with {wanted.against}: {error.stderr.strip()}")
    return _tell(faults)


def _tell(faults: Sequence[str]) -> int:
    sys.stderr.writelines(f"{fault}\n" for fault in faults)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
