from pathlib import Path

import pytest

from deploy.local import java


@pytest.mark.parametrize(
    ("printed", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "25" 2025-09-16', 25),
        ('java version "1.8.0_412"', 8),
        ('openjdk version "21-ea" 2023-09-19', 21),
        ('Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "17.0.1"', 17),
        ("java: command not found", None),
    ],
)
def test_the_major_version_is_read_from_what_java_prints(printed: str, major: int | None) -> None:
    assert java.major_version(printed) == major


def fake_java(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True)
    program = folder / "java"
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    program.chmod(0o755)
    return program


def test_java_home_comes_before_path(tmp_path: Path) -> None:
    at_home = fake_java(tmp_path / "home" / "bin", "21.0.1")
    on_path = fake_java(tmp_path / "path", "17.0.1")

    found = java.installed({"JAVA_HOME": str(tmp_path / "home"), "PATH": str(on_path.parent)})

    assert found == at_home


def test_a_java_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    fake_java(tmp_path / "home" / "bin", "11.0.2")
    on_path = fake_java(tmp_path / "path", "17.0.1")

    assert java.installed({"JAVA_HOME": str(tmp_path / "home"), "PATH": str(on_path.parent)}) == on_path
    assert java.installed({"JAVA_HOME": str(tmp_path / "home"), "PATH": "/nonexistent"}) is None
