"""An error says which field and why, and never repeats what was sent."""

import json

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from chassis.web import problems
from chassis.web.headers import ALWAYS
from services.intake.handlers import read_form
from tests.support.builders import an_application_form

SECRET = "秘密Z28YUE4J3Bux"


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    yen: int


@pytest.fixture
def http():
    app = FastAPI()
    problems.install(app)

    @app.post("/things")
    async def take(body: Body) -> None:
        raise RuntimeError(SECRET)

    return AsyncClient(transport=ASGITransport(app, raise_app_exceptions=False), base_url="http://akashi.test")


@pytest.mark.parametrize(
    "document",
    [
        {"name": [SECRET], "yen": SECRET},
        {"name": {"x": SECRET}},
        [SECRET],
        SECRET,
        {"yen": 1, SECRET: SECRET, "name": "a"},
    ],
)
async def test_a_refusal_never_repeats_a_value(http, document):
    answer = await http.post("/things", json=document)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert all(error["message_ja"] and error["message_en"] and error["rule"] for error in said["errors"])
    values = json.dumps([{**error, "field": ""} for error in said["errors"]], ensure_ascii=False)
    assert SECRET not in values


@pytest.mark.parametrize("body", [b"", b"{", SECRET.encode(), b"\xff"])
async def test_what_is_no_json_is_refused_as_such(http, body):
    answer = await http.post("/things", content=body, headers={"content-type": "application/json"})

    assert answer.status_code in (400, 422)
    assert SECRET not in answer.text


async def test_a_fault_of_ours_tells_nothing_of_itself(http):
    answer = await http.post("/things", json={"name": "a", "yen": 1})

    assert answer.status_code == 500
    assert answer.json()["type"] == "urn:akashi:problem:internal"
    assert answer.headers.items() >= {(name.lower(), value) for name, value in ALWAYS.items()}
    assert SECRET not in answer.text


async def test_an_address_that_is_not_there_is_a_problem_document_too(http):
    answer = await http.get("/nowhere")

    assert (answer.status_code, answer.json()["status"]) == (404, 404)
    assert answer.headers["content-type"] == "application/problem+json"


@given(
    st.sampled_from(
        ["surety_id", "works", "works__price_yen", "products", "products__advance_payment", "mail_address"]
    ),
    st.sampled_from([[SECRET], {SECRET: SECRET}, {"name": {"a": SECRET}}, 1.5]),
)
def test_a_form_of_another_shape_never_comes_back_in_the_answer(field, value):
    with pytest.raises(problems.Problem) as problem:
        read_form(an_application_form(**{field: value}))

    for error in problem.value.errors:
        assert SECRET not in error.message_ja + error.message_en + error.rule
    assert problem.value.__cause__ is None
    assert SECRET not in str(problem.value)
