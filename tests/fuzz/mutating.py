"""Inputs from inputs, for the short form and for the long one, which adds its own."""

import copy
import json
from collections.abc import Iterator
from random import Random
from typing import Any, Final

from tests.fuzz.targets import PART

#: Of what JSON can hold, what is seldom thought of.
VALUES: Final[tuple[Any, ...]] = (
    *(
        None,
        True,
        0,
        -1,
        1.5,
        -0.0,
        1e22,
        2**53,
        2**63,
        10**30,
        "",
        " ",
        "0",
        "\0",
        "\r\n",
        "\u2028",
        "\u202e",
        "\ud800",
    ),
    *(
        "𠮷",
        "e\u0301",
        "２０",
        "=1+1",
        "<b>",
        "{{ 7*7 }}",
        "2026-02-30",
        "0001-01-01T00:00:00+23:59",
        "x" * 70,
        "長" * 300,
    ),
    *([], {}, [[]], {"": ""}),
)
BYTES: Final = (
    b"\0",
    b"\r",
    b"\n",
    b"\r\n",
    b"\xff",
    b"\xed\xa0\x80",
    b" ",
    b"\xe3\x80\x80",
    b"\xef\xbc\x91",
    b"%00",
    b"=",
    b":",
    b"\n\n",
)


def mutated(data: bytes, random: Random) -> bytes:
    """The input with something in it changed: a value of its JSON, where it has one, or some bytes."""
    head, divider, last = data.rpartition(PART)
    if random.random() < 0.6:
        try:
            document = json.loads(last)
        except (ValueError, RecursionError):
            pass
        else:
            for _ in range(random.choice((1, 1, 2, 4))):
                document = _changed(document, random)
            text = json.dumps(document, ensure_ascii=random.random() < 0.5)
            return head + divider + text.encode("utf-8", "surrogatepass")
    for _ in range(random.choice((1, 1, 2, 4))):
        data = _bytes_changed(data, random)
    return data


def _changed(document: Any, random: Random) -> Any:
    document = copy.deepcopy(document)
    places = list(_places(document))
    if not places:
        return random.choice(VALUES)
    container, name = random.choice(places)
    match random.randrange(5):
        case 0:
            del container[name]
        case 1:
            container[name] = copy.deepcopy(random.choice(places)[0])
        case 2 if isinstance(container, dict):
            container[random.choice(("new", "", "a\0", "\ufb11"))] = random.choice(VALUES)
        case 3 if isinstance(container[name], str):
            at = random.randint(0, len(container[name]))
            other = random.choice([value for value in VALUES if isinstance(value, str)])
            container[name] = container[name][:at] + other + container[name][at:]
        case _:
            container[name] = random.choice(VALUES)
    return document


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    names = (
        document.keys() if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    )
    for name in names:
        yield document, name
        yield from _places(document[name])


def _bytes_changed(data: bytes, random: Random) -> bytes:
    start = random.randint(0, len(data))
    end = min(len(data), start + random.choice((0, 1, 1, 2, 8, 64)))
    match random.randrange(4):
        case 0:
            return data[:start] + data[end:]
        case 1:
            return data[:start] + random.choice(BYTES) + data[end:]
        case 2:
            return data[:end] + data[start:end] + data[end:]
        case _:
            return data[:start] + random.randbytes(end - start) + data[end:]
