"""What is counted of a request is bounded, whatever the request says."""

from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from prometheus_client import REGISTRY

from chassis.web import problems
from chassis.web.correlation import Correlation


def _methods() -> set[str]:
    return {
        sample.labels["method"]
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == "akashi_http_seconds_count"
    }


async def test_no_method_makes_a_new_label() -> None:
    app = FastAPI()
    problems.install(app)
    app.add_middleware(Correlation)

    async with AsyncClient(transport=ASGITransport(app), base_url="http://akashi.test") as http:
        for method in ("GET", *(f"GET{n:04}" for n in range(20))):
            assert (await http.request(method, "/nowhere")).status_code == 404

    assert {"GET", "other"} <= _methods()
    assert not [method for method in _methods() if method[-1].isdigit()]
