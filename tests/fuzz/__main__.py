"""Look for inputs that break a promise, led by the code that they reach: `make fuzz SECONDS=60 TARGET=messages`.

Without a target each has its turn. Inputs that reached something new are kept in `.fuzz/<target>/`, and are where the next
run begins. One that breaks a promise is written to `tests/fuzz/found/<target>/`, from where the tests take it, too.
"""

import argparse
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Final

HERE: Final = Path(__file__).parent
FOUND: Final = HERE / "found"
KEPT: Final = HERE.parent.parent / ".fuzz"
ROOMS: Final = ["chassis", "documents", "reference", "schemas", "services", "transparency"]
_DONE: Final = re.compile(r"#(\d+)\s+DONE\s+cov: (\d+) ft: (\d+) corp: (\d+)")
_BEGUN: Final = re.compile(r"#\d+\s+INITED cov: (\d+)")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--runs", type=int, default=-1, help="end after so many inputs")
    parser.add_argument("--seed", type=int, default=0, help="of chance; 0: another each time")
    parser.add_argument("--target", help="one of them; without, all")
    parser.add_argument("--kept", type=Path, default=KEPT, help="folder of inputs that reached something new")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        _fuzz(given)
        return
    if importlib.util.find_spec("atheris") is None:
        sys.exit("atheris is not installed: there are wheels of it for Linux on x86_64.")
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - inside, it is imported where coverage is counted

    chosen = [given.target] if given.target else list(TARGETS)
    if strangers := set(chosen) - set(TARGETS):
        sys.exit(f"There is no target {', '.join(strangers)}: choose of {', '.join(TARGETS)}.")
    broken = [name for name in chosen if not _look(name, given)]
    if broken:
        sys.exit(f"Broken: {', '.join(broken)}. The inputs are in {FOUND}.")


def _look(name: str, given: argparse.Namespace) -> bool:
    """One target in a process of its own, which libFuzzer ends."""
    options = [f"--{option}={getattr(given, option)}" for option in ("seconds", "runs", "seed", "kept")]
    ended = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--inside", f"--target={name}", *options],
        stderr=subprocess.STDOUT,
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    done, begun = _DONE.search(ended.stdout), _BEGUN.search(ended.stdout)
    if ended.returncode != 0 or done is None or begun is None:
        print(ended.stdout[-6000:])
        return False
    count, coverage, features, kept = done.groups()
    print(
        f"{name}: {int(count):,} inputs, coverage {begun.group(1)} to {coverage}, {features} features, {kept} kept",
        flush=True,
    )
    return True


def _fuzz(given: argparse.Namespace) -> None:
    """Never returns."""
    import atheris  # noqa: PLC0415 - only where it is installed

    with atheris.instrument_imports(include=ROOMS):
        from tests.fuzz.mutating import mutated  # noqa: PLC0415
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415

    target = TARGETS[given.target]
    kept, found = given.kept / target.name, FOUND / target.name
    for folder in (kept, found):
        folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(target.seeds):
        (kept / f"seed-{number}").write_bytes(data)

    def change(data: bytes, largest: int, chance: int) -> bytes:
        random = Random(chance)
        return mutated(data, random)[:largest] if random.random() < 0.5 else atheris.Mutate(data, largest)

    limits = [f"-max_total_time={given.seconds}", f"-runs={given.runs}", "-max_len=20000", "-timeout=20"]
    options = [str(kept), *limits, f"-artifact_prefix={found}/", *([f"-seed={given.seed}"] if given.seed else [])]
    atheris.Setup([sys.argv[0], *options], target.check, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
