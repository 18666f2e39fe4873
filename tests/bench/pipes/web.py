"""What would somebody write by hand who wants a row for each request, and nothing else?

`uvicorn tests.bench.pipes.web:app`: one process as ours, a transaction a request. No accounts, no rules, no log.
"""

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import AsyncIterator

import asyncpg
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

CREATE = """
CREATE TABLE application (id uuid PRIMARY KEY, body jsonb NOT NULL);
CREATE TABLE certificate (contract_number text PRIMARY KEY, digest bytea NOT NULL, content text NOT NULL);
CREATE TABLE view (id uuid PRIMARY KEY, contract_number text NOT NULL REFERENCES certificate, viewed_at timestamptz);
"""
INSERT_VIEW = "INSERT INTO view (id, contract_number, viewed_at) VALUES ($1, $2, now())"


def digest(number: str, key: str) -> bytes:
    return hashlib.sha256(f"{number}|{key}".encode()).digest()


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with asyncpg.create_pool(os.environ["BENCH_DSN"], min_size=10, max_size=10) as pool:
        app.state.pool = pool
        yield


async def health(request: Request) -> JSONResponse:
    return JSONResponse({})


async def accept(request: Request) -> JSONResponse:
    application_id = uuid.uuid4()
    body = json.dumps(await request.json())
    async with request.app.state.pool.acquire() as connection, connection.transaction():
        await connection.execute("INSERT INTO application (id, body) VALUES ($1, $2)", application_id, body)
    return JSONResponse({"application_id": str(application_id)}, status_code=202)


async def look_up(request: Request) -> JSONResponse:
    asked = await request.json()
    number = asked["contract_number"]
    async with request.app.state.pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow("SELECT digest, content FROM certificate WHERE contract_number = $1", number)
        if row is None or row["digest"] != digest(number, asked["authentication_key"]):
            return JSONResponse({}, status_code=404)
        await connection.execute(INSERT_VIEW, uuid.uuid4(), number)
    return JSONResponse(json.loads(row["content"]))


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/health/ready", health),
        Route("/api/applications", accept, methods=["POST"]),
        Route("/api/certificates/lookup", look_up, methods=["POST"]),
    ],
)
