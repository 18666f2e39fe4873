"""Whatever is logged, a line is one fact: nobody writes a line of their own, or what a terminal obeys."""

import json
import subprocess
import sys

import pytest

from deploy.local.state import CLONE

FORGED = '"}\n{"event": "certificate.issued", "level": "info"}\n'
HOSTILE = {
    "a line": FORGED,
    "carriage return": "good\rbad",
    "escape": "\x1b[2K\x1b]0;owned\x07",
    "eight bits' escape": "\x9b2J\x85",
    "other line ends": "a\u2028b\u2029c\x0bd\x0ce",
    "right to left": "\u202etxt.exe\u2066",
    "half a character": "\ud800",
    "null": "\0\x7f",
    "Japanese": "株式会社髙﨑建設　𠮷田",
}
PART = "-----\n"
#: Each way by which something comes to be logged, in a process as a service's, with one text after the other.
PROGRAM = f"""
import json, logging, sys
import structlog
from chassis.telemetry import configure_logs

log = structlog.get_logger()
for text in json.loads(sys.argv[1]):
    # Anew: what a library says twice is written once.
    configure_logs("intake", "INFO")
    structlog.contextvars.clear_contextvars()
    log.info("told", value=text, inside={{text: [text]}})
    log.info(text)
    logging.getLogger("a.library").warning("about %s", text)
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("broken")
        logging.getLogger("another").exception("broken %s", text)
    structlog.contextvars.bind_contextvars(correlation_id=text)
    log.info("bound")
    print({PART!r}, end="")
"""


@pytest.fixture(scope="module")
def logged() -> dict[str, str]:
    """What is written of each text."""
    command = [sys.executable, "-c", PROGRAM, json.dumps(list(HOSTILE.values()))]
    said = subprocess.run(command, cwd=CLONE, capture_output=True, check=True).stdout.decode()
    return dict(zip(HOSTILE, said.removesuffix(PART).split(PART), strict=True))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_line_of_the_log_is_one_fact_whatever_is_in_it(name: str, logged: dict[str, str]) -> None:
    text, said = HOSTILE[name], logged[name]

    # By every rule of what ends a line.
    lines = [json.loads(line) for line in said.splitlines()]
    assert len(lines) == 6
    assert all(line["service"] == "intake" and line["level"] and line["timestamp"] for line in lines)
    assert lines[0]["value"] == text
    assert lines[0]["inside"] == {text: [text]}
    assert lines[1]["event"] == text
    assert text in lines[2]["event"]
    assert lines[5]["correlation_id"] == text
    assert not set(said) & set(map(chr, (*range(10), *range(11, 32), *range(0x7F, 0xA0), 0x202E, 0x2066)))


def test_japanese_is_readable_in_the_log(logged: dict[str, str]) -> None:
    assert HOSTILE["Japanese"] in logged["Japanese"]
