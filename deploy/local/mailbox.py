"""Where do mails go when there is no Docker? Into a box on this machine that anyone at it can read.

Takes mail by SMTP, shows it on a page, and answers the part of Mailpit's HTTP API that the demo and the tests use, so
that one client works with both: https://mailpit.axllent.org/docs/api-v1/
"""

import argparse
import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from chassis.tls import showing
from deploy.local import mailbox_pages, mailbox_store
from deploy.local.mailbox_chaos import Chaos
from deploy.local.mailbox_store import Mailbox

_PAGE_ROWS = 50
_MAX_MAIL_BYTES = 25 * 1024 * 1024

#: A mail's line in the list.
Line = dict[str, Any]


class _Reception:
    """What aiosmtpd calls, step by step of a mail."""

    def __init__(self, mailbox: Mailbox, chaos: Chaos) -> None:
        self._mailbox = mailbox
        self._chaos = chaos

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if refusal := self._chaos.answer("Sender"):
            return refusal
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if refusal := self._chaos.answer("Recipient"):
            return refusal
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        raw = envelope.content if isinstance(envelope.content, bytes) else str(envelope.content).encode()
        try:
            identity = self._mailbox.add(raw, sender=envelope.mail_from or "", recipients=envelope.rcpt_tos)
        except OSError as error:
            return f"452 4.3.1 not stored: {error.strerror}"
        return f"250 2.0.0 stored as {identity}"


class _Answers:
    """One method per address of the page and the API."""

    def __init__(self, mailbox: Mailbox, chaos: Chaos) -> None:
        self._mailbox = mailbox
        self._chaos = chaos

    def routes(self) -> list[Route]:
        message = "/api/v1/message/{id}"
        return [
            Route("/", self.show_list),
            Route("/message/{id}", self._of_message(_message_page)),
            Route("/message/{id}/html", self._of_message(_message_html)),
            Route("/api/v1/messages", self.list_messages),
            Route("/api/v1/messages", self.delete_messages, methods=["DELETE"]),
            Route(message, self._of_message(_message)),
            Route(f"{message}/raw", self._of_message(_raw_message)),
            Route(f"{message}/part/{{part}}", self._of_message(_part)),
            Route("/api/v1/chaos", self.show_chaos),
            Route("/api/v1/chaos", self.set_chaos, methods=["PUT"]),
            Route("/readyz", self.be_ready),
        ]

    async def show_list(self, request: Request) -> Response:
        start = _number(request, "start", 0)
        lines = self._mailbox.page(start, _PAGE_ROWS)
        html = mailbox_pages.list_page(lines, start=start, limit=_PAGE_ROWS, total=len(self._mailbox))
        return HTMLResponse(html, headers=_safe(mailbox_pages.PAGE_POLICY))

    async def list_messages(self, request: Request) -> Response:
        start, total = _number(request, "start", 0), len(self._mailbox)
        lines = self._mailbox.page(start, _number(request, "limit", _PAGE_ROWS))
        counts = dict.fromkeys(("total", "messages_count", "unread", "messages_unread"), total)
        return JSONResponse({**counts, "count": len(lines), "start": start, "tags": [], "messages": lines})

    async def delete_messages(self, request: Request) -> Response:
        try:
            wanted = (json.loads(await request.body() or b"{}") or {}).get("IDs") or []
        except (ValueError, AttributeError):
            return PlainTextResponse("the body is no JSON object", 400)
        self._mailbox.clear(wanted)
        return PlainTextResponse("ok")

    async def show_chaos(self, _request: Request) -> Response:
        return JSONResponse(self._chaos.triggers())

    async def set_chaos(self, request: Request) -> Response:
        try:
            self._chaos.set(await request.json())
        except (ValueError, AttributeError) as error:
            return JSONResponse({"Error": str(error)}, 400)
        return JSONResponse(self._chaos.triggers())

    async def be_ready(self, _request: Request) -> Response:
        return PlainTextResponse("ok")

    def _of_message(self, answer: Callable[[Line, bytes, Request], Response]) -> Callable[..., Awaitable[Response]]:
        async def look_up(request: Request) -> Response:
            line = self._mailbox.line(request.path_params["id"])
            if line is None:
                return PlainTextResponse("404 message not found", 404)
            return answer(line, self._mailbox.raw(line), request)

        return look_up


def mail_app(
    mailbox: Mailbox,
    chaos: Chaos,
    *,
    smtp_host: str,
    smtp_port: int,
    hosts: list[str],
    shown: ssl.SSLContext | None = None,
) -> Starlette:
    """The page and the API; the SMTP server lives as long as they do, and takes mail after STARTTLS only if `shown`."""

    @asynccontextmanager
    async def receive(_app: Starlette) -> AsyncIterator[None]:
        def session() -> SMTP:
            return SMTP(
                _Reception(mailbox, chaos),
                data_size_limit=_MAX_MAIL_BYTES,
                enable_SMTPUTF8=True,
                tls_context=shown,
                require_starttls=shown is not None,
            )

        server = await asyncio.get_running_loop().create_server(session, smtp_host, smtp_port)
        yield
        server.close()

    # The list of hosts: a web page elsewhere could have its own name point here, and read the mails.
    guard = Middleware(TrustedHostMiddleware, allowed_hosts=hosts)
    return Starlette(routes=_Answers(mailbox, chaos).routes(), middleware=[guard], lifespan=receive)


def _message(line: Line, raw: bytes, _request: Request) -> Response:
    return JSONResponse(mailbox_store.full(line, mailbox_store.parse(raw)))


def _raw_message(_line: Line, raw: bytes, _request: Request) -> Response:
    return PlainTextResponse(raw, headers=_safe(mailbox_pages.MAIL_POLICY))


def _message_page(line: Line, raw: bytes, _request: Request) -> Response:
    html = mailbox_pages.message_page(line, mailbox_store.parse(raw))
    return HTMLResponse(html, headers=_safe(mailbox_pages.PAGE_POLICY))


def _message_html(_line: Line, raw: bytes, _request: Request) -> Response:
    html = mailbox_store.body(mailbox_store.parse(raw), "html")
    return HTMLResponse(html, headers=_safe(mailbox_pages.MAIL_POLICY))


def _part(_line: Line, raw: bytes, request: Request) -> Response:
    mail, part_id = mailbox_store.parse(raw), request.path_params["part"]
    file = next((one for one in mailbox_store.attachments(mail) if one["PartID"] == part_id), None)
    inside = mailbox_store.content(mail, part_id)
    if file is None or inside is None:
        return PlainTextResponse("404 part not found", 404)
    disposition = f"attachment; filename*=UTF-8''{quote(file['FileName'])}"
    headers = _safe(mailbox_pages.MAIL_POLICY) | {"content-disposition": disposition}
    return Response(inside, media_type=file["ContentType"], headers=headers)


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    return int(text) if text.isdecimal() else default


def _safe(policy: str) -> dict[str, str]:
    return {"content-security-policy": policy, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.mailbox")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--smtp-port", type=int, required=True)
    parser.add_argument("--http-port", type=int, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--certificate", type=Path, help="shown to all, over TLS only; with its key in one file")
    chosen = parser.parse_args()
    hosts = ["127.0.0.1", "localhost"] if chosen.host == "127.0.0.1" else ["*"]
    shown = showing(chosen.certificate) if chosen.certificate else None
    app = mail_app(
        Mailbox(chosen.state), Chaos(), smtp_host=chosen.host, smtp_port=chosen.smtp_port, hosts=hosts, shown=shown
    )
    uvicorn.run(
        app,
        host=chosen.host,
        port=chosen.http_port,
        ssl_certfile=chosen.certificate,
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    main()
