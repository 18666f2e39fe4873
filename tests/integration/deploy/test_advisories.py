"""What is known against a package is told, and no answer is not taken for a good one."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from deploy.local.state import CLONE, free_port

Answer = Callable[[list[str]], Any]


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """A service that speaks as OSV does (`POST /v1/querybatch`)."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told = json.dumps(answer([query["package"]["purl"] for query in asked["queries"]])).encode()
            self.send_response(200 if self.path == "/v1/querybatch" else 404)
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(service: str) -> tuple[int, str]:
    ended = subprocess.run(
        [sys.executable, "-m", "deploy.advisories", "--service", service],
        cwd=CLONE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not ended.stderr
    return ended.returncode, ended.stdout


def test_what_is_known_of_a_package_or_a_jar_is_told() -> None:
    def answer(purls: list[str]) -> Any:
        bad = ("pkg:pypi/uvicorn@", "pkg:maven/org.apache.kafka/kafka-clients@")
        return {"results": [{"vulns": [{"id": "GHSA-1"}, {"id": "X-2"}]} if p.startswith(bad) else {} for p in purls]}

    with answering(answer) as service:
        code, said = ask(service)

    assert code == 1
    assert said.count("GHSA-1, see https://osv.dev/vulnerability/GHSA-1") == 2
    assert "4 advisories." in said


def test_where_nothing_is_known_it_is_said_of_how_many() -> None:
    with answering(lambda purls: {"results": [{} for _ in purls]}) as service:
        code, said = ask(service)

    assert code == 0
    count, _, rest = said.partition(" ")
    assert int(count) > 100
    assert rest == "packages and jars, 0 advisories.\n"


@pytest.mark.parametrize("told", [{}, {"results": [{}]}, "x"])
def test_an_answer_that_is_none_is_not_a_good_one(told: Any) -> None:
    with answering(lambda _: told) as service:
        code, said = ask(service)

    assert (code, said.splitlines()[1:]) == (3, [])


def test_where_nobody_can_be_asked_it_is_said() -> None:
    code, said = ask(f"http://127.0.0.1:{free_port()}")

    assert code == 3
    assert "could not be asked" in said
    assert "nothing is known of these packages, good or bad" in said
