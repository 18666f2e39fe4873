"""DEC-9, LIM-4: a credit service is asked before a transaction opens, and its answer is part of what is told."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from schemas.certificates import CertificateIssued
from schemas.decisions import ApplicationDecided, ApplicationQueued
from tests.support.builders import a_record, an_application
from tests.support.consuming import a_consumer
from tests.support.services import make_service


class CreditService(ThreadingHTTPServer):
    """Says `clear` over real HTTP, unless it was told otherwise about a contractor."""

    daemon_threads = True
    #: More than come at once: whoever finds the queue full asks again after seconds only.
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Asked)
        self.url = f"http://127.0.0.1:{self.server_port}/check"
        self.answers = {}
        self.questions = []
        self.bearers = []
        #: So many questions have to be there before one is answered.
        self.together = threading.Barrier(1)


class _Asked(BaseHTTPRequestHandler):
    server: CreditService

    def do_POST(self):
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.headers["Idempotency-Key"] == question["application_id"]
        self.server.questions.append(question)
        self.server.bearers.append(self.headers["Authorization"])
        self.server.together.wait(timeout=20)
        status, body = self.server.answers.get(question["contractor_id"], (200, '{"answer": "clear"}'))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def credit():
    with CreditService() as service:
        running = threading.Thread(target=service.serve_forever, daemon=True)
        running.start()
        yield service
        service.shutdown()
        running.join()


@pytest.fixture
async def decide(databases, keys, issuer_pool):
    """Polls of an issuer that was told where to ask."""

    async def decide_these(*events, url, seconds=20.0, **settings):
        settings |= {"credit_check_url": url, "credit_check_seconds": seconds}
        service = make_service("issuer", databases, keys, **settings)
        await a_consumer(service, issuer_pool).take([a_record(event) for event in events])

    return decide_these


async def test_whoever_is_clear_is_decided_by_rules_and_the_answer_is_told(credit, decide, rules):
    credit.answers["c1"] = (200, '{"answer": "clear", "reference": "CR-2026-1"}')
    event = an_application(contractor__id="c1")

    await decide(event, url=credit.url)

    (decided,) = await rules.told(ApplicationDecided)
    assert len(await rules.told(CertificateIssued)) == 1
    (fact,) = decided.outside_facts
    assert (fact.source, fact.answer, fact.reference) == ("credit", "clear", "CR-2026-1")
    (question,) = credit.questions
    assert question == {
        "application_id": str(event.application_id),
        "surety_id": event.surety_id,
        "contractor_id": "c1",
        "contractor_name": event.contractor.name,
        "amount_yen": event.products[0].amount_yen,
    }


async def test_the_one_who_asks_shows_the_token_of_its_secret(credit, decide, keys):
    (keys.of("issuer") / "credit_check_token").write_text("xkT5-token\n")

    await decide(an_application(), url=credit.url)
    await decide(an_application(), url=credit.url, credit_check_token="credit_check_token")

    assert credit.bearers == [None, "Bearer xkT5-token"]


async def test_who_is_referred_waits_at_the_desk_and_holds_up_nobody(credit, decide, rules):
    credit.answers["c1"] = (200, '{"answer": "refer", "reference": "CR-2026-2"}')
    referred, clear = an_application(contractor__id="c1"), an_application(contractor__id="c2")

    await decide(referred, clear, url=credit.url)

    (queued,) = await rules.told(ApplicationQueued)
    (decided,) = await rules.told(ApplicationDecided)
    assert (queued.application_id, decided.application_id) == (referred.application_id, clear.application_id)
    assert [finding.rule for finding in queued.findings] == ["LIM-4"]
    assert [fact.reference for fact in queued.outside_facts] == ["CR-2026-2"]


@pytest.mark.parametrize(
    "answer",
    [
        (500, '{"answer": "clear"}'),
        (302, '{"answer": "clear"}'),
        (200, '{"answer": "perhaps"}'),
        (200, "<html>"),
        (200, ""),
        (200, '{"answer": "clear", "reference": "two\\nlines"}'),
    ],
)
async def test_an_answer_that_is_none_leaves_it_to_a_person(answer, credit, decide, rules):
    credit.answers["c1"] = answer

    await decide(an_application(contractor__id="c1"), url=credit.url)

    (queued,) = await rules.told(ApplicationQueued)
    assert [finding.rule for finding in queued.findings] == ["LIM-4"]
    assert [fact.answer for fact in queued.outside_facts] == ["unavailable"]


async def test_a_service_that_is_away_or_silent_leaves_it_to_a_person(decide, rules):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/check"
        await decide(an_application(), url=url, seconds=0.2)
    await decide(an_application(), url=url)

    told = await rules.told(ApplicationQueued)
    assert [fact.answer for queued in told for fact in queued.outside_facts] == ["unavailable"] * 2


async def test_all_of_a_poll_are_asked_about_at_once(credit, decide, rules):
    credit.together = threading.Barrier(20)

    await decide(*(an_application(contractor__id=f"c{n}") for n in range(20)), url=credit.url)

    assert len(await rules.told(ApplicationDecided)) == 20


async def test_while_it_is_asked_no_transaction_is_open(credit, decide, rules):
    in_use = []

    def look():
        # The question is there and not answered yet.
        in_use.append(rules.pool.get_size() - rules.pool.get_idle_size())

    credit.together = threading.Barrier(1, action=look)

    await decide(an_application(), url=credit.url)

    assert in_use == [0]


async def test_what_is_returned_anyway_does_not_wait_for_credit(credit, decide, rules):
    credit.answers["c1"] = (200, '{"answer": "refer"}')
    hopeless = an_application(
        surety_id="nankai",
        branch_id="okinawa",
        works__purchaser_id="yomitan",
        works__kind="consignment",
        contractor__id="c1",
    )

    await decide(hopeless, url=credit.url)

    (decided,) = await rules.told(ApplicationDecided)
    assert decided.outcomes[0].outcome == "returned"
