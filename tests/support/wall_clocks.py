"""The wall clock of one process, which a test can set while that runs.

libfaketime answers for the C library, so that nothing in the product knows of it. CLOCK_MONOTONIC stays what it is, as
it does on a machine whose clock is set.
"""

import importlib.util
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path


def library() -> Path | None:
    """The library to load first; None where there is no build of it."""
    found = importlib.util.find_spec("libfaketime")
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"


@dataclass(frozen=True)
class WallClock:
    """What a process takes for the time."""

    file: Path

    def settings(self) -> dict[str, str]:
        """The environment of a process that goes by it."""
        loaded = library()
        assert loaded is not None
        return {
            "LD_PRELOAD": str(loaded),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set_off(self, by: timedelta = timedelta()) -> None:
        """Let it be wrong by so much from now on; without an argument, right again."""
        new = self.file.with_suffix(".new")
        new.write_text(f"{by.total_seconds():+.0f}")
        # Never half written: it is read at every look.
        new.replace(self.file)
