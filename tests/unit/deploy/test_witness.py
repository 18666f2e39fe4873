"""The witness cosigns what goes on from what it saw, on disk before it answers, and nothing else."""

import asyncio
import contextlib
import json
import threading
from pathlib import Path

import httpx
import pytest

from deploy.witness import LONGEST_REQUEST, Memory, StateUnreadable, make_app
from transparency import checkpoints
from transparency.checkpoints import Checkpoint, Trust, open_checkpoint
from transparency.merkle import EMPTY_ROOT, Frontier, consistency_proof, leaf_hash, node_hash
from transparency.notes import Note
from transparency.signatures import SignerKey
from transparency.witness import AddCheckpoint, accept_cosignatures

LOG = SignerKey("log.example/one", bytes(range(32)))
STRANGER = SignerKey("log.example/two", bytes(range(1, 33)))
WITNESS = SignerKey("witness.example/w", bytes(range(2, 34))).as_cosigner()
NOW = 1_800_000_000
LEAVES = [leaf_hash(bytes([n])) for n in range(9)]


def tree(leaves):
    return Frontier().extend(leaves)[0]


def node_of(leaves):
    def node(height, index):
        row = leaves[index << height : (index + 1) << height]
        while len(row) > 1:
            row = [node_hash(left, right) for left, right in zip(row[::2], row[1::2], strict=True)]
        return row[0]

    return node


def request(old, new, *, leaves=LEAVES, log=LOG, proof=None):
    """The body that a log of these leaves sends."""
    note = checkpoints.sign(Checkpoint.of(log.name, tree(leaves[:new])), log)
    steps = consistency_proof(old, new, node_of(leaves)) if proof is None and old <= new else proof or []
    return str(AddCheckpoint(old, tuple(steps), note))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "seen.json"


@pytest.fixture
def ask(file):
    async def add(body, *, memory=None):
        (answer,) = await ask_at_once([body], memory or Memory(file))
        return answer

    return add


async def ask_at_once(bodies, memory):
    app = make_app(WITNESS, {LOG.name: LOG.verifier}, memory, now=lambda: NOW)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://witness.test") as http:
        return await asyncio.gather(*(http.post("/add-checkpoint", content=body) for body in bodies))


async def test_it_cosigns_what_goes_on_and_remembers(ask, file):
    assert (await ask(request(0, 3))).status_code == 200
    answer = await ask(request(3, 7))

    note = Note.parse(request(3, 7).partition("\n\n")[2])
    trust = Trust(LOG.name, (LOG.verifier,), (WITNESS.verifier,), quorum=1)
    signed = open_checkpoint(str(accept_cosignatures(note, answer.text, trust)), trust)
    assert signed.witnessed == {WITNESS.name: NOW}
    assert json.loads(file.read_text())[LOG.name]["size"] == 7


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (request(0, 3), 409, "5"),
        (request(3, 7), 409, "5"),
        (request(5, 5, leaves=LEAVES[::-1]), 409, "5"),
        (request(5, 7, leaves=LEAVES[::-1]), 422, "proof"),
        (request(5, 7, proof=[]), 422, "proof"),
        (request(5, 7, log=STRANGER), 404, "not a log"),
        (request(5, 7).replace("old 5", "old 05"), 400, ""),
        (request(6, 5, proof=[]), 400, "larger"),
        ("x" * (LONGEST_REQUEST + 1), 413, "too large"),
        ("", 400, ""),
    ],
)
async def test_it_refuses_what_does_not_go_on(body, status, says, ask, file):
    await ask(request(0, 5))
    before = file.read_text()

    answer = await ask(body)

    assert (answer.status_code, says in answer.text) == (status, True)
    assert file.read_text() == before


class Slow(Memory):
    """Keeps nothing until two want to, if a second one ever does."""

    two = threading.Barrier(2, timeout=0.5)

    def keep(self, origin, seen):
        with contextlib.suppress(threading.BrokenBarrierError):
            self.two.wait()
        super().keep(origin, seen)


async def test_of_two_forks_at_once_one_is_cosigned(file):
    answers = await ask_at_once([request(0, 3), request(0, 3, leaves=LEAVES[::-1])], Slow(file))

    assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_a_checkpoint_that_the_log_did_not_sign_is_forbidden(ask, file):
    forged = SignerKey(LOG.name, bytes(32))

    assert (await ask(request(0, 5, log=forged))).status_code == 403
    assert not file.exists()


async def test_what_could_not_be_kept_is_not_answered(ask, file, monkeypatch):
    memory = Memory(file)
    monkeypatch.setattr("deploy.witness.os.fsync", _no_space)

    with pytest.raises(OSError, match="No space"):
        await ask(request(0, 5), memory=memory)

    assert memory.of(LOG.name).size == 0
    assert Memory(file).of(LOG.name).root == EMPTY_ROOT


def _no_space(_):
    raise OSError("No space")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": {}}', '{"a": {"size": 1, "root": "x"}}'])
def test_a_state_that_cannot_be_read_stops_the_start(text, file):
    file.write_text(text)

    with pytest.raises(StateUnreadable):
        Memory(file)
