"""Is the notifier wired as it says, and does a wrong setting stop it before it starts?"""

import base64
from pathlib import Path

import pytest

from chassis.settings import SecretMissing
from schemas import topics
from services.notifier.app import make_service
from services.notifier.settings import NotifierSettings


@pytest.fixture
def secrets_dir(tmp_path: Path) -> Path:
    (tmp_path / "private_key").write_text(base64.b64encode(bytes(32)).decode())
    return tmp_path


def test_it_reads_its_topics_as_one_group_and_serves_no_pages(secrets_dir: Path) -> None:
    service = make_service(NotifierSettings(secrets_dir=secrets_dir))

    (reading,) = service.readings
    handled = {kind.__name__ for kind in reading.handlers}
    offered = {event.__name__ for topic in topics.read_by(reading.group) for event in topic.events}
    assert handled == offered - {"WithdrawalRequested"}
    assert reading.forget is not None
    assert service.routers == ()


def test_there_are_as_many_senders_as_conversations(secrets_dir: Path) -> None:
    service = make_service(NotifierSettings(secrets_dir=secrets_dir, smtp_conversations=3))

    assert [task.name for task in service.tasks] == ["sender 1", "sender 2", "sender 3", "sweeper"]


def test_a_user_name_needs_a_password(secrets_dir: Path) -> None:
    with pytest.raises(SecretMissing):
        make_service(NotifierSettings(secrets_dir=secrets_dir, smtp_username="notifier"))


def test_without_its_private_key_it_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(SecretMissing):
        make_service(NotifierSettings(secrets_dir=tmp_path))
