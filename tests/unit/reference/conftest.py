"""A copy of the shipped data that a test may break in one place."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from reference import reader

Edit = Callable[[str, str, str], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(reader.DEFAULT, tmp_path / "data"))


@pytest.fixture
def edit(folder: Path) -> Edit:
    """Replace the first occurrence of a text in a file, which must be there."""

    def replace(file: str, old: str, new: str) -> None:
        path = folder / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{file} holds no {old!r}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return replace
