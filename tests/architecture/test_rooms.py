"""What stands in which file, and how long a file may be."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("chassis", "console", "deploy", "documents", "reference", "schemas", "services", "transparency")
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
DOMAINS = sorted((ROOT / "services").glob("*/domain.py"))
LONGEST = 400

#: Modules that a decision must not depend on: time, chance, neighbours, frameworks.
IMPURE = {
    "pydantic",
    "asyncpg",
    "asyncio",
    "random",
    "secrets",
    "os",
    "time",
    "uuid_utils",
    "aiokafka",
    "fastapi",
    "httpx",
    "structlog",
    "socket",
    "pathlib",
}
#: Calls that ask the machine instead of the caller.
ASKS = {"now", "utcnow", "today", "uuid4", "uuid1", "uuid7", "open", "print", "input"}
SQL = re.compile(
    r"\b(SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s+\S+\s+SET|DELETE\s+FROM|CREATE\s+TABLE|LOCK\s+TABLE)\b", re.DOTALL
)
#: Words that name no thing.
NO_NOUNS = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base"}


def named(path):
    return str(path.relative_to(ROOT))


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def statements(tree):
    """The strings of a module that are SQL statements."""
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.search(node.value)
    ]


@pytest.mark.parametrize("path", DOMAINS, ids=named)
def test_a_domain_imports_nothing_that_asks_the_world(path):
    roots = {name.split(".")[0] for name in imported(ast.parse(path.read_text()))}

    assert not roots & IMPURE


@pytest.mark.parametrize("path", DOMAINS, ids=named)
def test_a_domain_is_told_the_time_and_draws_nothing(path):
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    names = {call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls}

    assert not names & ASKS


@pytest.mark.parametrize("path", DOMAINS, ids=named)
def test_a_domain_waits_for_nothing(path):
    tree = ast.parse(path.read_text())

    assert not [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef | ast.Await)]


@pytest.mark.parametrize("path", [path for path in SOURCES if "services" in path.parts], ids=named)
def test_sql_stands_in_stores_only(path):
    if path.name != "store.py":
        assert statements(ast.parse(path.read_text())) == []


def test_what_is_taken_up_to_a_limit_is_looked_for_once():
    """As a part of a join PostgreSQL may look for it once for each row, and takes as many again each time."""
    taking = [
        statement
        for path in SOURCES
        for statement in statements(ast.parse(path.read_text()))
        if "LIMIT" in statement and "SKIP LOCKED" in statement
    ]

    assert len(taking) > 1
    assert all("AS MATERIALIZED (" in statement for statement in taking)


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_a_file_is_read_in_one_sitting(path):
    assert len(path.read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_a_file_is_named_after_a_thing(path):
    assert path.stem not in NO_NOUNS


def test_services_meet_on_topics_and_never_by_import():
    for path in SOURCES:
        if "services" in path.parts:
            own = path.relative_to(ROOT / "services").parts[0]
            others = {
                name.split(".")[1]
                for name in imported(ast.parse(path.read_text()))
                if name.startswith("services.") and name.split(".")[1] != own
            }
            assert not others, named(path)


def test_the_rules_above_see_what_they_forbid():
    """Each of them would fail on this."""
    tree = ast.parse("import random\nfrom pydantic import BaseModel\nQUERY = 'SELECT a\\nFROM b'\n")

    assert {"random", "pydantic"} <= set(imported(tree)) & IMPURE
    assert statements(tree) == ["SELECT a\nFROM b"]
