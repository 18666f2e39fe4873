import smtplib
from collections.abc import Iterator
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.parts import ProcessSpec
from deploy.local.process import LocalProcess
from deploy.local.stack import stack
from deploy.local.state import PREFERRED_PORTS, free_port


class RunningMailbox(LocalProcess):
    """The mail box, started as the stack starts it."""

    name = "mailbox"

    def __init__(self, state: Path) -> None:
        smtp, web = free_port(), free_port()
        super().__init__(state, web)
        self.smtp_port = smtp
        ports = {**PREFERRED_PORTS, "smtp": smtp, "mailbox": web}
        parts = [part for part in stack(state, ports) if isinstance(part, ProcessSpec)]
        self._spec = next(part for part in parts if part.name == "mailbox")

    def command(self) -> list[str]:
        return self._spec.command()

    def environment(self) -> dict[str, str]:
        return {**self._spec.environment(), "PYTHONPATH": str(self._spec.folder)}

    def prepare(self) -> None:
        pass

    def is_ready(self) -> bool:
        return self._spec.is_ready()

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://{self.address}{path}", trust_env=False)

    def put_chaos(self, triggers: dict[str, Any]) -> httpx.Response:
        return httpx.put(f"http://{self.address}/api/v1/chaos", json=triggers, trust_env=False)

    def send(self, mail: EmailMessage) -> None:
        with smtplib.SMTP("127.0.0.1", self.smtp_port) as server:
            server.send_message(mail)


@pytest.fixture
def mailbox(state: Path) -> Iterator[RunningMailbox]:
    with RunningMailbox(state) as running:
        yield running


def a_mail() -> EmailMessage:
    mail = EmailMessage(policy=policy.SMTP)
    mail["Subject"] = "電子保証　発行完了のお知らせ（髙橋①㈱）"
    mail["From"] = "証 <akashi@akashi.example>"
    mail["To"] = "﨑山 <sakiyama@kensetsu.example>"
    mail["Message-ID"] = "<0199@akashi.example>"
    mail.set_content("保証契約番号〜12345")
    mail.add_alternative("<p>発行しました</p><script>alert(1)</script>", subtype="html")
    mail.add_attachment(b"%PDF-", maintype="application", subtype="pdf", filename="保証証書.pdf")
    return mail


def test_japanese_arrives_as_it_was_sent(mailbox: RunningMailbox) -> None:
    mailbox.send(a_mail())

    line = mailbox.get("/api/v1/messages").json()["messages"][0]
    mail = mailbox.get(f"/api/v1/message/{line['ID']}").json()

    assert line["Subject"] == mail["Subject"] == "電子保証　発行完了のお知らせ（髙橋①㈱）"
    assert mail["To"] == [{"Name": "﨑山", "Address": "sakiyama@kensetsu.example"}]
    assert mail["MessageID"] == "0199@akashi.example"
    assert mail["Text"].strip() == "保証契約番号〜12345"
    assert [file["FileName"] for file in mail["Attachments"]] == ["保証証書.pdf"]


def test_the_newest_mail_comes_first_and_all_survive_a_kill(mailbox: RunningMailbox) -> None:
    for number in range(3):
        mail = a_mail()
        mail.replace_header("Subject", f"{number}通目")
        mailbox.send(mail)

    mailbox.kill()
    mailbox.start()

    answer = mailbox.get("/api/v1/messages?start=1&limit=1").json()
    assert answer["total"] == 3
    assert [line["Subject"] for line in answer["messages"]] == ["1通目"]
    assert mailbox.get("/api/v1/message/latest").json()["Subject"] == "2通目"


def test_a_person_sees_the_mail_and_its_html_runs_nothing(mailbox: RunningMailbox) -> None:
    mailbox.send(a_mail())
    identity = mailbox.get("/api/v1/messages").json()["messages"][0]["ID"]

    page = mailbox.get(f"/message/{identity}")
    html = mailbox.get(f"/message/{identity}/html")

    assert "保証契約番号〜12345" in page.text
    assert "0199@akashi.example" in page.text
    assert "<script" not in page.text
    assert "<iframe sandbox " in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert html.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert "（髙橋①㈱）" in mailbox.get("/").text


def test_the_raw_mail_and_its_attachment_can_be_fetched(mailbox: RunningMailbox) -> None:
    mailbox.send(a_mail())

    mail = mailbox.get("/api/v1/message/latest").json()

    assert b"Message-ID: <0199@akashi.example>" in mailbox.get(f"/api/v1/message/{mail['ID']}/raw").content
    part = mail["Attachments"][0]["PartID"]
    assert mailbox.get(f"/api/v1/message/{mail['ID']}/part/{part}").content == b"%PDF-"


def test_chaos_refuses_until_it_is_taken_back(mailbox: RunningMailbox) -> None:
    mailbox.put_chaos({"Recipient": {"ErrorCode": 451, "Probability": 100}})
    with pytest.raises(smtplib.SMTPRecipientsRefused, match="451"):
        mailbox.send(a_mail())

    mailbox.put_chaos({})
    mailbox.send(a_mail())

    assert mailbox.get("/api/v1/messages").json()["total"] == 1
    assert mailbox.put_chaos({"Sender": {"ErrorCode": 250, "Probability": 1}}).status_code == 400


def test_all_mails_can_be_deleted(mailbox: RunningMailbox) -> None:
    mailbox.send(a_mail())

    httpx.delete(f"http://{mailbox.address}/api/v1/messages", trust_env=False)

    assert mailbox.get("/api/v1/messages").json()["total"] == 0
    assert mailbox.get("/api/v1/message/latest").status_code == 404


def test_a_page_elsewhere_can_not_read_the_mails_under_its_own_name(mailbox: RunningMailbox) -> None:
    answer = httpx.get(f"http://{mailbox.address}/", headers={"host": "evil.example"}, trust_env=False)

    assert answer.status_code == 400
