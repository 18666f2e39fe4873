"""Is the notifier wired as it says, and does a wrong setting stop it before it starts?"""

import base64
from pathlib import Path

import pytest
from pydantic import ValidationError

from chassis.settings import SecretUnusable
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
    assert [kind.__name__ for kind in reading.handlers] == [
        "DataKeyWrapped",
        "ApplicationSubmitted",
        "CertificateRegistered",
        "ApplicationDecided",
        "CertificateViewed",
    ]
    read = topics.read_by(reading.group)
    assert {topics.of_event(kind) for kind in reading.handlers} == set(read)
    assert reading.forget is not None
    assert service.routers == ()


def test_there_are_as_many_senders_as_conversations(secrets_dir: Path) -> None:
    service = make_service(NotifierSettings(secrets_dir=secrets_dir, smtp_conversations=3))

    assert [task.name for task in service.tasks] == ["sender 1", "sender 2", "sender 3", "sweeper"]


def test_a_user_name_needs_a_password(secrets_dir: Path) -> None:
    with pytest.raises(SecretUnusable):
        make_service(NotifierSettings(secrets_dir=secrets_dir, smtp_username="notifier"))


def test_without_its_private_key_it_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(SecretUnusable):
        make_service(NotifierSettings(secrets_dir=tmp_path))


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://portal.hosho.example", "https://portal.hosho.example"),
        ("https://portal.hosho.example/", "https://portal.hosho.example"),
        ("http://127.0.0.1:8101/", "http://127.0.0.1:8101"),
    ],
)
def test_letters_link_to_the_contractors_portal(monkeypatch: pytest.MonkeyPatch, given: str, used: str) -> None:
    monkeypatch.setenv("AKASHI_CONTRACTOR_URL", given)

    assert NotifierSettings().contractor_url == used


@pytest.mark.parametrize("given", ["", "portal.hosho.example", "javascript:alert(1)", "https://a b/", "https://a/?x="])
def test_what_is_no_address_of_a_portal_is_refused(given: str) -> None:
    with pytest.raises(ValidationError):
        NotifierSettings(contractor_url=given)
