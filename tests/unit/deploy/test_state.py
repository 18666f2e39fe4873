import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import state
from deploy.local.problem import Problem


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_akashi_state_decides_where_the_state_is(tmp_path: Path) -> None:
    assert state.state_folder({"AKASHI_STATE": str(tmp_path)}) == tmp_path.resolve()


def test_a_home_that_nobody_has_is_a_problem() -> None:
    with pytest.raises(Problem, match="~nobody-of-this-name/x"):
        state.state_folder({"AKASHI_STATE": "~nobody-of-this-name/x"})


def test_the_state_is_in_the_clone(tmp_path: Path) -> None:
    assert state.state_folder({}, clone=tmp_path, is_root=False) == tmp_path / ".akashi"


def test_roots_state_leaves_a_home_that_nobody_can_enter(tmp_path: Path) -> None:
    home = tmp_path / "home"
    clone = home / "clone"
    clone.mkdir(parents=True)
    home.chmod(0o700)

    chosen = state.state_folder({}, clone=clone, is_root=True)

    assert str(chosen).startswith("/var/tmp/akashi-")
    assert state.state_folder({}, clone=clone, is_root=True) == chosen
    assert state.state_folder({}, clone=home, is_root=True) != chosen


def test_a_folder_with_other_things_in_it_is_never_taken_for_state(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()

    with pytest.raises(Problem, match="not Akashi's state"):
        state.open_state(tmp_path)


def test_state_is_opened_again(tmp_path: Path) -> None:
    folder = state.open_state(tmp_path / "state")

    assert state.open_state(folder) == folder


def test_an_empty_home_is_not_the_root_folder() -> None:
    assert state.home({"HOME": ""}) != Path("/")
    assert state.home({"HOME": "/home/hanako"}) == Path("/home/hanako")


def test_akashi_cache_decides_where_downloads_go(tmp_path: Path) -> None:
    assert state.cache_folder({"AKASHI_CACHE": str(tmp_path)}) == tmp_path.resolve()
    assert state.cache_folder({"XDG_CACHE_HOME": "/x"}) == Path("/x/akashi")


def test_a_remembered_port_is_kept(tmp_path: Path) -> None:
    first = state.choose_ports(tmp_path, ["kafka"], environment={})
    port = state.free_port()
    (tmp_path / "ports.json").write_text(json.dumps({"kafka": port}))

    assert state.choose_ports(tmp_path, ["kafka"], environment={}) == {"kafka": port} != first


def test_a_taken_port_is_replaced_by_a_free_one(tmp_path: Path, listening: int) -> None:
    (tmp_path / "ports.json").write_text(json.dumps({"kafka": listening}))

    port = state.choose_ports(tmp_path, ["kafka"], environment={})["kafka"]

    assert port != listening
    assert state.is_free(port)
    assert json.loads((tmp_path / "ports.json").read_text()) == {"kafka": port}


def _given_elsewhere(preferred: int) -> int:
    """What another process is given, which ends then."""
    asks = f"from deploy.local.state import free_port; print(free_port({preferred}))"
    told = subprocess.run([sys.executable, "-c", asks], cwd=state.CLONE, check=True, capture_output=True, text=True)
    return int(told.stdout)


def test_a_port_that_was_given_is_given_to_no_other_process_as_long_as_that_lives() -> None:
    ours = state.free_port()
    assert _given_elsewhere(ours) != ours

    theirs = _given_elsewhere(ours)
    assert _given_elsewhere(theirs) == theirs


def test_no_two_parts_get_one_port(tmp_path: Path) -> None:
    ports = state.choose_ports(tmp_path, environment={})

    assert len(set(ports.values())) == len(state.PREFERRED_PORTS)


def test_a_demanded_port_is_used(tmp_path: Path) -> None:
    port = state.free_port()

    assert state.choose_ports(tmp_path, ["kafka"], environment={"AKASHI_PORT_KAFKA": str(port)}) == {"kafka": port}


def test_a_demanded_port_that_is_taken_is_a_problem_that_names_it(tmp_path: Path, listening: int) -> None:
    with pytest.raises(Problem, match=f"Port {listening} of AKASHI_PORT_KAFKA is in use"):
        state.choose_ports(tmp_path, ["kafka"], environment={"AKASHI_PORT_KAFKA": str(listening)})


@pytest.mark.parametrize("wrong", ["kafka", "0", "70000", "-1"])
def test_a_demanded_port_that_is_none_is_a_problem(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(Problem, match="is no port"):
        state.choose_ports(tmp_path, ["kafka"], environment={"AKASHI_PORT_KAFKA": wrong})
