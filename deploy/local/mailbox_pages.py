"""What does a person see of the mail box? Server-rendered, without script; a mail's own HTML runs in a sandbox."""

from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from html import escape
from typing import Any

from deploy.local import mailbox_store

#: The page: nothing but its own style, and the mail's frame.
PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
#: The mail's HTML: its own styles and pictures inside the mail; no script, no form, nothing from the network.
MAIL_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)

_STYLE = """
:root { color-scheme: light dark; font-family: system-ui, "Noto Sans CJK JP", "Hiragino Sans", sans-serif; }
body { max-width: 64rem; margin: 2rem auto; padding: 0 1rem; line-height: 1.6; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: start; vertical-align: top; padding: .4rem .6rem; border-bottom: 1px solid #8885; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid #8885; padding: 1rem; font-family: inherit; }
iframe { width: 100%; height: 32rem; border: 1px solid #8885; background: #fff; }
.faint { opacity: .7; font-size: .875rem; }
"""


def list_page(lines: Sequence[Mapping[str, Any]], *, start: int, limit: int, total: int) -> str:
    rows = "".join(
        f'<tr><td><a href="/message/{line["ID"]}">{escape(line["Subject"]) or "（件名なし）"}</a>'
        f'<div class="faint">{escape(line["Snippet"])}</div></td>'
        f"<td>{escape(_people(line['To'] + line['Cc'] + line['Bcc']))}</td>"
        f"<td>{escape(_people([line['From']]))}</td>"
        f'<td><time datetime="{line["Created"]}">{line["Created"][:19].replace("T", " ")} UTC</time></td></tr>'
        for line in lines
    )
    table = (
        "<table><thead><tr><th scope=col>件名</th><th scope=col>宛先</th><th scope=col>差出人</th>"
        f"<th scope=col>受信日時</th></tr></thead><tbody>{rows}</tbody></table>"
        if lines
        else "<p>メールはまだ届いていません。</p>"
    )
    links = []
    if start > 0:
        links.append(f'<a rel="prev" href="/?start={max(start - limit, 0)}">新しいメール</a>')
    if start + limit < total:
        links.append(f'<a rel="next" href="/?start={start + limit}">古いメール</a>')
    return _page("受信箱", f"<h1>受信箱（{total}通）</h1>{table}<nav><p>{' ・ '.join(links)}</p></nav>")


def message_page(line: Mapping[str, Any], mail: EmailMessage) -> str:
    identity = line["ID"]
    headers = "".join(
        f"<tr><th scope=row>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in mail.items()
    )
    plain, html = mailbox_store.body(mail, "plain"), mailbox_store.body(mail, "html")
    files = "".join(
        f'<li><a href="/api/v1/message/{identity}/part/{file["PartID"]}">{escape(file["FileName"])}</a> '
        f"（{file['Size']:,} バイト）</li>"
        for file in mailbox_store.attachments(mail)
    )
    return _page(
        line["Subject"] or "（件名なし）",
        f'<p><a href="/">受信箱</a></p><h1>{escape(line["Subject"]) or "（件名なし）"}</h1>'
        f"<p>宛先: {escape(_people(line['To'] + line['Cc'] + line['Bcc']))}<br>"
        f"差出人: {escape(_people([line['From']]))}<br>Message-ID: <code>{escape(line['MessageID'])}</code></p>"
        + (f"<h2>添付ファイル</h2><ul>{files}</ul>" if files else "")
        + (f"<h2>本文（テキスト）</h2><pre>{escape(plain)}</pre>" if plain else "")
        + (
            f'<h2>本文（HTML）</h2><iframe sandbox title="本文（HTML）" src="/message/{identity}/html"></iframe>'
            if html
            else ""
        )
        + f'<h2>ヘッダー</h2><table>{headers}</table><p><a href="/api/v1/message/{identity}/raw">原文</a></p>',
    )


def _people(people: Sequence[Mapping[str, str]]) -> str:
    return "、".join(f"{one['Name']} <{one['Address']}>" if one["Name"] else one["Address"] for one in people)


def _page(title: str, content: str) -> str:
    return (
        f'<!doctype html><html lang="ja"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body><main>{content}</main></body></html>"
    )
