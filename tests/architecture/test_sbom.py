"""The bill of materials names everything that others wrote."""

import tomllib

from deploy.local import kafka_jars
from deploy.local.state import CLONE
from deploy.sbom import document


def test_every_jar_and_every_package_of_the_stack_is_in_it_with_its_version_and_hash() -> None:
    purls = {component["purl"]: component for component in document()["components"] if "purl" in component}
    locked = {
        package["name"]: package["version"] for package in tomllib.loads((CLONE / "uv.lock").read_text())["package"]
    }

    for name in ("aiokafka", "asyncpg", "cryptography", "fastapi", "pydantic", "typst", "pyhanko", "uvicorn"):
        assert f"pkg:pypi/{name}@{locked[name]}" in purls
    for jar in kafka_jars.locked():
        (hashed,) = purls[f"pkg:maven/{jar.group}/{jar.artifact}@{jar.version}"]["hashes"]
        assert hashed == {"alg": "SHA-256", "content": jar.sha256}


def test_what_only_tests_need_is_not_in_it() -> None:
    names = {component["name"] for component in document()["components"]}

    assert not names & {"pytest", "schemathesis", "hypothesis", "playwright"}


def test_the_same_locks_give_the_same_document() -> None:
    assert document() == document()
