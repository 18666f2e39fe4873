"""Which mails arrived, and what do they say?

A mail is two files: `<id>.eml`, as it was received, and `<id>.json`, its line in the list with the envelope. They
survive a restart; a mail without its line (the machine stopped between the two) was never acknowledged.
"""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage, MIMEPart
from email.utils import getaddresses
from pathlib import Path
from typing import Any, cast

_SNIPPET_CHARACTERS = 250


class Mailbox:
    """The mails in one folder, newest first, under the field names of Mailpit's API."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lines: dict[str, dict[str, Any]] = {
            path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))
        }

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, raw: bytes, *, sender: str, recipients: Sequence[str]) -> str:
        """Keep a mail; when this returns it is in the list, also after a restart."""
        mail = parse(raw)
        # Sorts by arrival; nanoseconds may repeat, so look.
        moment = time.time_ns()
        while (identity := f"{moment:020d}") in self._lines:
            moment += 1
        line = _line(identity, mail, raw, sender, recipients)
        self._path(identity, "eml").write_bytes(raw)
        fresh = self._path(identity, "new")
        fresh.write_text(json.dumps(line, ensure_ascii=False))
        fresh.rename(self._path(identity, "json"))
        self._lines[identity] = line
        return identity

    def page(self, start: int, limit: int) -> list[dict[str, Any]]:
        newest = len(self._lines) - start
        return list(self._lines.values())[max(newest - limit, 0) : max(newest, 0)][::-1]

    def line(self, identity: str) -> dict[str, Any] | None:
        """The mail's line; "latest" names the newest."""
        if identity == "latest":
            return next(reversed(self._lines.values()), None)
        return self._lines.get(identity)

    def raw(self, line: Mapping[str, Any]) -> bytes:
        return self._path(line["ID"], "eml").read_bytes()

    def clear(self, identities: Sequence[str] = ()) -> None:
        """Forget the named mails, or all of them."""
        for identity in list(identities) or list(self._lines):
            if self._lines.pop(identity, None):
                for kind in ("json", "eml"):
                    self._path(identity, kind).unlink(missing_ok=True)

    def _path(self, identity: str, kind: str) -> Path:
        return self._folder / f"{identity}.{kind}"


def parse(raw: bytes) -> EmailMessage:
    return message_from_bytes(raw, policy=policy.default)


def body(mail: EmailMessage, kind: str) -> str:
    """The mail's text of this kind (`plain` or `html`), or nothing."""
    part = mail.get_body(preferencelist=(kind,))
    return "" if part is None else _text(part)


def attachments(mail: EmailMessage) -> list[dict[str, Any]]:
    found = []
    for number, part in enumerate(mail.walk()):
        if part.get_content_disposition() == "attachment":
            found.append(
                {
                    "PartID": str(number),
                    "FileName": part.get_filename() or f"part-{number}",
                    "ContentType": part.get_content_type(),
                    "ContentID": part.get("Content-ID", "").strip("<>"),
                    "Size": len(cast("bytes", part.get_payload(decode=True)) or b""),
                }
            )
    return found


def content(mail: EmailMessage, part_id: str) -> bytes | None:
    """What an attachment holds."""
    for number, part in enumerate(mail.walk()):
        if str(number) == part_id and not part.is_multipart():
            return cast("bytes", part.get_payload(decode=True))
    return None


def full(line: Mapping[str, Any], mail: EmailMessage) -> dict[str, Any]:
    """The mail as Mailpit's `/api/v1/message/{ID}` shows it."""
    shared = ("ID", "MessageID", "From", "To", "Cc", "Bcc", "ReplyTo", "Subject", "Size", "Tags", "Username")
    return {
        **{key: line[key] for key in shared},
        "ReturnPath": line["ReturnPath"],
        "Date": _date(mail) or line["Created"],
        "Text": body(mail, "plain"),
        "HTML": body(mail, "html"),
        "Attachments": attachments(mail),
        "Inline": [],
    }


def _line(identity: str, mail: EmailMessage, raw: bytes, sender: str, recipients: Sequence[str]) -> dict[str, Any]:
    to, copies = _people(mail, "To"), _people(mail, "Cc")
    shown = {person["Address"].lower() for person in to + copies}
    return {
        "ID": identity,
        "MessageID": str(mail.get("Message-ID", "")).strip().strip("<>"),
        "Read": False,
        "From": next(iter(_people(mail, "From")), {"Name": "", "Address": sender}),
        "To": to,
        "Cc": copies,
        "Bcc": [{"Name": "", "Address": one} for one in recipients if one.lower() not in shown],
        "ReplyTo": _people(mail, "Reply-To"),
        "ReturnPath": sender,
        "Subject": str(mail.get("Subject", "")),
        "Created": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "Username": "",
        "Tags": [],
        "Size": len(raw),
        "Attachments": len(attachments(mail)),
        "Snippet": " ".join(body(mail, "plain").split())[:_SNIPPET_CHARACTERS],
    }


def _people(mail: EmailMessage, header: str) -> list[dict[str, str]]:
    values = [str(value) for value in mail.get_all(header, [])]
    return [{"Name": name, "Address": address} for name, address in getaddresses(values) if address]


def _date(mail: EmailMessage) -> str | None:
    with suppress(AttributeError, ValueError):
        return cast("str", mail["Date"].datetime.isoformat())
    return None


def _text(part: MIMEPart) -> str:
    try:
        return str(part.get_content())
    except (LookupError, ValueError):
        # A character set nobody knows: show what can be shown.
        return cast("bytes", part.get_payload(decode=True)).decode(errors="replace")
