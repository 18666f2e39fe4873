"""Prints what was seen, for people."""

from datetime import datetime
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from chassis.clock import JST
from console.demo.play import Outcome, Seen


def show(console: Console, number: int, outcome: Outcome) -> None:
    """One application with its products."""
    parts: list[Any] = []
    if outcome.refusal is not None:
        parts.extend(
            Text(f"申込不可  {error['field']} ({error['rule']}): {error['message_ja']}", style="yellow")
            for error in outcome.refusal["errors"]
        )
    parts.extend(
        Text(f"審査  {finding['rule']}: {finding['message_ja']}", style="yellow") for finding in outcome.findings
    )
    if outcome.message:
        parts.append(Text(f"弊社からお客様へのお知らせ: {outcome.message}"))
    parts.extend(_product(seen) for seen in outcome.products)
    title = f"{number}. {outcome.case.title}"
    console.print(Panel(Group(*parts), title=title, title_align="left", border_style="green"))


def _product(seen: Seen) -> Table:
    standing = seen.standing
    table = Table.grid(padding=(0, 2))
    table.add_row(Text(standing["product_name"], style="bold"), Text(f"{standing['amount_yen']:,}円"))
    table.add_row("  手続状況", f"{standing['status_ja']} ({standing['status']})")
    if standing["contract_number"]:
        table.add_row("  保証契約番号", standing["contract_number"])
    if standing["registered_at"]:
        table.add_row("  電子保証発行日時", _minute(standing["registered_at"]))
    if seen.mail is not None:
        table.add_row("  メール", f"{seen.mail['From']['Address']} → {seen.mail['To'][0]['Address']}")
        table.add_row("", f"件名 {seen.mail['Subject']}")
        table.add_row("", f"Message-ID {seen.mail['MessageID']}")
        table.add_row("", Text(seen.mail["Text"].strip(), style="dim"))
    if seen.certificate is not None:
        content = seen.certificate["content"]
        table.add_row("  発注者の閲覧", f"保証契約番号と認証キー {seen.key_shown} で照会")
        table.add_row("", f"{content['title']}  {content['guarantor']['name']}")
        table.add_row("", f"保証契約者 {content['contractor_name']}" + _jv(content))
        table.add_row("", f"被保証者 {content['beneficiary']}  保証金額 {content['amount_yen']:,} 円")
        table.add_row("", f"工事名 {content['works_name']}  保証期限 {content['guarantee_ends']}")
        table.add_row("", f"SHA-256 {seen.certificate['content_sha256'][:16]}…")
    return table


def _jv(content: dict[str, Any]) -> str:
    return f"  JV名 {content['jv_name']}" if content.get("jv_name") else ""


def _minute(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone(JST).strftime("%Y/%m/%d %H:%M:%S") + " JST"
