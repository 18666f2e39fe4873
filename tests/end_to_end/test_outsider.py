"""A client of such logs that nobody here wrote accepts ours, and nothing that differs from it by one bit."""

import copy
import json
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from console.store import connect
from tests.fault.load import has_come_to_its_end, send
from tests.support.outsider import Said, read_log
from tests.support.running import Client, Document, RunningStack
from tests.support.waiting import eventually
from transparency.checkpoints import Checkpoint
from transparency.notes import Note
from transparency.signatures import VerifierKey
from transparency.tiles import tile_at

#: More leaves than a tile has.
APPLICATIONS = 120
Body = Callable[[bytes], bytes]


@dataclass
class Log:
    """The registry's log by HTTP, as it was at one moment, whatever comes later; spoilt where that is wished."""

    url: str
    key: VerifierKey
    witness: VerifierKey
    newest: Note
    kept: list[Note]
    proofs: list[Document]
    spoilt: dict[str, Body] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return Checkpoint.parse(self.newest.text).size

    def get(self, path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"{self.url}/log{path}", timeout=20) as answer:
                code, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            code, body = error.code, error.read()
        if path == "/checkpoint":
            body = str(self.newest).encode()
        spoil = self.spoilt.get(path.partition("?")[0])
        return code, spoil(body) if spoil else body

    def read(self, proofs: list[Document] | None = None) -> Said:
        with _served(self) as url:
            return read_log(
                url,
                origin=self.key.name,
                key=str(self.key),
                cosigners=[str(self.key.as_cosigner()), str(self.witness)],
                kept=[str(note) for note in self.kept],
                proofs=self.proofs if proofs is None else proofs,
            )


@contextmanager
def _served(log: Log) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            code, body = log.get(self.path)
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


@pytest.fixture(scope="module")
async def log(stack: RunningStack) -> Log:
    """With enough certificates in it, views, and two checkpoints that somebody kept on the way."""
    key, witness = (
        VerifierKey.parse(stack.console.secret(f"registry/{name}"))
        for name in ("log_verifier_key", "witness_verifier_key")
    )
    contractor, purchaser = await stack.contractor(f"outside-{uuid.uuid4().hex[:8]}"), await stack.purchaser("tochigi")
    kept = []
    for count in (1, APPLICATIONS // 2, APPLICATIONS // 2):
        sent = await send(contractor, count)
        await eventually(partial(has_come_to_its_end, contractor, sent), 120)
        kept.append(await _cosigned(stack, witness))
    proofs = [await _proof(contractor, purchaser, number) for number in await _some_numbers(contractor)]
    newest = await _cosigned(stack, witness)
    return Log(stack.url("registry"), key, witness, newest, kept, proofs)


async def _some_numbers(contractor: Client) -> list[str]:
    listed = await contractor.all_items("/api/guarantees")
    electronic = [one["contract_number"] for one in listed if one["form"] == "electronic"]
    return [electronic[place] for place in (0, 1, len(electronic) // 2, -1)]


async def _cosigned(stack: RunningStack, witness: VerifierKey) -> Note:
    """The checkpoint of all leaves that there are now, once its witness has seen it."""
    async with connect(stack.console, "registry") as registry:
        size = await registry.fetchval("SELECT size FROM log_head")

    async def cosigned() -> Note | None:
        async with stack.http("registry") as http:
            note = Note.parse((await http.get("/log/checkpoint")).text)
        is_whole = Checkpoint.parse(note.text).size >= size
        return note if is_whole and any(one.key_id == witness.id for one in note.signatures) else None

    note: Note = await eventually(cosigned, 60)
    return note


async def _proof(contractor: Client, purchaser: Client, number: str) -> Document:
    key = (await contractor.document(f"/api/guarantees/{number}/authentication-key"))["authentication_key"]
    asked = {"contract_number": number, "authentication_key": key}

    async def proven() -> Document | None:
        answer = await purchaser.call("POST", "/api/certificates/lookup", asked)
        assert answer.status_code == httpx.codes.OK, answer.text
        proof: Document | None = answer.json()["proof"]
        # Of a checkpoint that was there already; the witness may be a second later.
        return proof if proof and len(Note.parse(proof["checkpoint"]).signatures) == 3 else None

    found: Document = await eventually(proven, 60)
    return found


def a_bit(raw: bytes) -> bytes:
    middle = len(raw) // 2
    return raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1 :]


def _root(raw: bytes) -> bytes:
    note = Note.parse(raw)
    checkpoint = Checkpoint.parse(note.text)
    return str(replace(note, text=str(replace(checkpoint, root=a_bit(checkpoint.root))))).encode()


def _signature(place: int) -> Body:
    def spoil(raw: bytes) -> bytes:
        note = Note.parse(raw)
        lines = [replace(one, blob=a_bit(one.blob)) if n == place else one for n, one in enumerate(note.signatures)]
        return str(replace(note, signatures=tuple(lines))).encode()

    return spoil


def _a_hash(raw: bytes) -> bytes:
    hashes = json.loads(raw)
    return json.dumps([a_bit(bytes.fromhex(one)).hex() for one in hashes]).encode()


async def test_it_reads_the_whole_log(log: Log) -> None:
    said = log.read()

    sizes = [Checkpoint.parse(note.text).size for note in (*log.kept, log.newest)]
    assert said == Said(checkpoints=4, leaves=sum(sizes), pairs=10, proofs=4)
    assert log.size > 256, "more than one tile"


async def test_it_refuses_whatever_differs_by_a_bit(log: Log) -> None:
    tiles = [tile_at(level, 0, log.size) for level in (None, 0, 1)]
    cases: list[tuple[str, Body]] = [
        ("/checkpoint", _root),
        *(("/checkpoint", _signature(place)) for place in range(3)),
        *((f"/{tile.path}", a_bit) for tile in tiles),
        ("/consistency", _a_hash),
    ]
    for path, spoil in cases:
        log.spoilt = {path: spoil}
        assert log.read().refused, path
    log.spoilt = {}
    assert not log.read().refused


@pytest.mark.parametrize("what", ["inclusion", "salt", "document"])
async def test_it_refuses_a_proof_that_was_altered(log: Log, what: str) -> None:
    proof = copy.deepcopy(log.proofs[0])
    if what == "inclusion":
        proof["inclusion"][0] = a_bit(bytes.fromhex(proof["inclusion"][0])).hex()
    elif what == "salt":
        proof["salt"] = a_bit(bytes.fromhex(proof["salt"])).hex()
    else:
        proof["document"]["version"] += 1

    assert log.read([proof]).refused.startswith("proof of ")
