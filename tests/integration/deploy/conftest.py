import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def state() -> Iterator[Path]:
    """A folder that a server running as `nobody` can enter; pytest's own is closed to it."""
    folder = Path(tempfile.mkdtemp(prefix="akashi-test-", dir="/var/tmp" if os.geteuid() == 0 else None))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)
