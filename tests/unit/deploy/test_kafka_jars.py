import hashlib
from pathlib import Path

import pytest

from deploy.local import kafka_jars
from deploy.local.kafka_jars import Jar
from deploy.local.problem import Problem


def test_the_lock_names_the_broker_and_its_logger_with_a_digest_each() -> None:
    jars = kafka_jars.locked()

    assert f"kafka_2.13-{kafka_jars.KAFKA_VERSION}.jar" in {jar.file_name for jar in jars}
    assert any(jar.artifact == "log4j-slf4j-impl" for jar in jars)
    assert all(len(jar.sha256) == 64 and jar.size_bytes > 0 for jar in jars)
    assert len({jar.file_name for jar in jars}) == len(jars)


def test_every_kafka_jar_has_the_brokers_version() -> None:
    versions = {jar.version for jar in kafka_jars.locked() if jar.group == "org.apache.kafka"}

    assert versions == {kafka_jars.KAFKA_VERSION}


def test_a_lock_line_is_coordinates_digest_and_size() -> None:
    assert kafka_jars.parse_lock("# a comment\n\na.b:c:1.0 00FF 12\n") == (Jar("a.b", "c", "1.0", "00ff", 12),)


@pytest.mark.parametrize("line", ["a.b:c 00ff 12", "a.b:c:1.0 00ff", "a.b:c:1.0 xyz 12", "a.b:c:1.0 00ff many"])
def test_a_broken_lock_line_is_a_problem_that_shows_it(line: str) -> None:
    with pytest.raises(Problem, match=line):
        kafka_jars.parse_lock(line)


@pytest.fixture
def one_jar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that holds the only jar of the lock."""
    monkeypatch.setattr(kafka_jars, "LOCK", tmp_path / "lock")
    digest = hashlib.sha256(b"jar").hexdigest()
    (tmp_path / "lock").write_text(f"a.b:c:1.0 {digest} 3\n")
    folder = tmp_path / "cache" / f"kafka-{kafka_jars.KAFKA_VERSION}"
    folder.mkdir(parents=True)
    (folder / "c-1.0.jar").write_bytes(b"jar")
    return folder / "c-1.0.jar"


def test_a_jar_that_is_here_is_not_fetched(one_jar: Path, tmp_path: Path) -> None:
    assert kafka_jars.ensure_jars(cache=tmp_path / "cache") == [one_jar]


def test_a_jar_that_changed_is_refused(one_jar: Path, tmp_path: Path) -> None:
    kafka_jars.ensure_jars(cache=tmp_path / "cache")
    one_jar.write_bytes(b"another jar")

    with pytest.raises(Problem, match=r"c-1\.0\.jar is not the file"):
        kafka_jars.ensure_jars(cache=tmp_path / "cache")


def test_what_was_verified_is_not_read_again(one_jar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kafka_jars.ensure_jars(cache=tmp_path / "cache")
    monkeypatch.setattr(kafka_jars, "_sha256", lambda path: pytest.fail(f"{path} was read"))

    kafka_jars.ensure_jars(cache=tmp_path / "cache")
