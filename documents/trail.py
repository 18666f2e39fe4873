"""保証契約の経過記録: everything that happened to one guarantee, for an auditor's file. As many pages as it takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from documents.era import JST, jst_minute
from documents.printable import CharacterNotPrintable
from documents.rendering import draw

TITLE: Final = "保証契約の経過記録"
#: What stands for a character that cannot be printed (げた記号): an odd name must not hide what happened.
UNPRINTABLE: Final = "〓"
_COLUMNS: Final = ("日時（JST）", "サービス", "事象", "内容", "相関ID", "出所")


@dataclass(frozen=True)
class TrailLine:
    """One thing that happened."""

    at: datetime
    service: str
    type: str
    says: str
    correlation_id: str
    source: str


def trail_pdf(application_id: str, contract_numbers: Sequence[str], lines: Sequence[TrailLine]) -> bytes:
    """The lines as they are given, on landscape A4, dated by the last. Same lines, same bytes.

    A character that cannot be printed is printed as 〓. A ValueError without any line.
    """
    if not lines:
        raise ValueError("nothing happened")
    last = max(line.at for line in lines)
    about = {"申込": application_id, "保証契約番号": "、".join(contract_numbers) or "（なし）"}
    values = {
        "heading": TITLE,
        "application_id": application_id,
        "about": [
            {"label": label, "lines": [text]}
            for label, text in {**about, "記録": f"{len(lines)}件、最後は {jst_minute(last)}"}.items()
        ],
        "columns": _COLUMNS,
        "rows": [
            {
                "at": line.at.astimezone(JST).strftime("%Y/%m/%d %H:%M:%S.%f")[:-3],
                "service": line.service,
                "type": line.type,
                "says": line.says,
                "correlation_id": line.correlation_id,
                "source": line.source,
            }
            for line in lines
        ],
    }
    title = f"{TITLE} {'、'.join(contract_numbers) or application_id}"
    while True:
        try:
            return draw("trail", values, title=title, author="akashi", specimen=False, at=last)
        except CharacterNotPrintable as unprintable:
            values = _without(values, unprintable.character)


def _without(value: Any, character: str) -> Any:
    """The same value with 〓 for this character, wherever it stands."""
    match value:
        case str():
            return value.replace(character, UNPRINTABLE)
        case dict():
            return {name: _without(each, character) for name, each in value.items()}
        case list() | tuple():
            return [_without(each, character) for each in value]
    return value
