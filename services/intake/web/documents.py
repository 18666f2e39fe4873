"""PDFs for the contractor: drawn beside the event loop, sent as files, kept nowhere."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Final
from urllib.parse import quote

import structlog
from starlette.responses import Response

from chassis.web.pages import HEADERS
from chassis.web.problems import Problem
from chassis.web.wording import Wording, noted
from documents.certificate import certificate_file_name, certificate_pdf
from documents.fee_statement import (
    ILLUSTRATIVE,
    FeeLine,
    FeeStatement,
    fee_statement_file_name,
    fee_statement_pdf,
)
from documents.key_notice import KeyNotice, key_notice_file_name, key_notice_pdf
from documents.money import yen
from documents.rendering import CharacterNotPrintable, DoesNotFitOnePage
from documents.signing import Signer
from reference.codes import PRODUCTS, SUBMISSION_CHANNELS
from reference.model import Purchaser, Surety
from schemas.certificates import CertificateContent
from schemas.decisions import Fee
from services.intake import handlers, views
from services.intake.listing.views import FeeOfGuarantee

log = structlog.get_logger()

#: Why a certificate was signed, as readers of PDF show it.
REASON: Final = "契約者控えの発行"
MINIMUM: Final = "最低保証料を適用しています。"
ASK: Final = "契約担当窓口にご確認ください"
CANNOT: Final = noted(
    "印刷できない文字が含まれるため、この書類のPDFを作成できません。お手数ですが、営業部・支店までお問い合わせください。"
)


@dataclass(frozen=True)
class Printer:
    """What documents are made with."""

    taking: handlers.Taking
    signer: Signer
    #: Base address of the purchasers' portal.
    purchaser_url: str
    wording: Wording

    async def key_notice(self, guarantee: views.GuaranteeDetail, key: str) -> Response:
        """The one file for the purchaser (SUB-9). Whoever calls has recorded that the key is seen."""
        reference = self.taking.reference
        notice = notice_of(
            CertificateContent.model_validate(guarantee.overview),
            key,
            surety=reference.surety(guarantee.surety_id),
            purchaser=reference.purchasers.get(guarantee.purchaser_id),
            purchaser_page_url=f"{self.purchaser_url.rstrip('/')}/purchaser/",
        )
        at = self.taking.clock.now()
        return _file(await self._drawn(lambda: key_notice_pdf(notice, at=at)), key_notice_file_name(notice))

    async def certificate(self, entry: views.HistoryEntry) -> Response:
        """The certificate for the contractor's own file, signed."""
        content = CertificateContent.model_validate(entry.content)
        drawn = await self._drawn(lambda: certificate_pdf(content, registered_at=entry.registered_at))
        signed = await self.signer.sign(drawn, reason=REASON, at=self.taking.clock.now())
        return _file(signed, certificate_file_name(content))

    async def fee_statement(self, fee: FeeOfGuarantee) -> Response:
        statement = statement_of(fee, self.taking.reference.surety(fee.surety_id))
        return _file(await self._drawn(lambda: fee_statement_pdf(statement)), fee_statement_file_name(statement))

    async def _drawn(self, draw: Callable[[], bytes]) -> bytes:
        """Problem 409 for a name that no font of ours can print."""
        try:
            return await asyncio.to_thread(draw)
        except (CharacterNotPrintable, DoesNotFitOnePage) as error:
            log.warning("document.cannot_be_printed", error=type(error).__name__)
            raise Problem(
                409, "cannot-be-printed", "This document cannot be printed.", detail=self.wording.gettext(CANNOT)
            ) from None


def version_of(guarantee: views.GuaranteeDetail, version: int | None) -> views.HistoryEntry:
    """A certificate of the history; the latest unless one is named. Problem 404 when there is none."""
    for entry in guarantee.history:
        if version is None or entry.version == version:
            return entry
    raise handlers.not_found()


def notice_of(
    content: CertificateContent, key: str, *, surety: Surety, purchaser: Purchaser | None, purchaser_page_url: str
) -> KeyNotice:
    return KeyNotice(
        family=surety.family,
        title=surety.key_notice_title,
        surety_name=content.guarantor.name,
        viewing_platform_name=surety.viewing_platform_name,
        works_name=content.works_name,
        contractor_name=content.contractor_name,
        is_jv=bool(content.jv_name),
        product_name=content.product_name,
        contract_number=content.contract_number,
        authentication_key=key,
        purchaser_page_url=purchaser_page_url,
        specimen=content.specimen,
        submission=_submission(purchaser) if purchaser else (),
    )


def statement_of(fee: FeeOfGuarantee, surety: Surety) -> FeeStatement:
    methods = {method.code: method.label for method in surety.fee_payment_methods}
    lowest = fee.fee.fee_yen > sum(line.fee_yen for line in fee.fee.lines)
    return FeeStatement(
        surety_name=surety.name,
        surety_address=surety.address,
        contractor_name=fee.contractor_name,
        works_name=fee.works_name,
        beneficiary=fee.purchaser_title,
        contract_number=fee.contract_number,
        product_name=PRODUCTS[fee.product].full,
        amount_yen=fee.amount_yen,
        lines=_lines(fee.fee),
        fee_yen=fee.fee.fee_yen,
        payment_method=methods.get(fee.payment_method, fee.payment_method),
        bill_to=fee.bill_to,
        decided_on=fee.decided_on,
        specimen=surety.specimen,
        note=f"{MINIMUM}{ILLUSTRATIVE}" if lowest else ILLUSTRATIVE,
    )


def _lines(fee: Fee) -> tuple[FeeLine, ...]:
    """Each bracket with the part of the amount that lies in it."""
    ends = list(accumulate(line.base_yen for line in fee.lines))
    beginnings = [0, *ends]
    return tuple(
        FeeLine(
            f"{yen(beginning)}を超え{yen(end)}以下の部分" if beginning else f"{yen(end)}以下の部分",
            line.base_yen,
            line.rate_percent,
            line.fee_yen,
        )
        for line, beginning, end in zip(fee.lines, beginnings, ends, strict=False)
    )


def _submission(purchaser: Purchaser) -> tuple[str, ...]:
    """How this purchaser wants the notice, on the notice itself."""
    submission = purchaser.submission
    ways = "、".join(SUBMISSION_CHANNELS[channel].japanese for channel in submission.channels)
    lines = [f"提出方法：{ways}"]
    if "mail" in submission.channels:
        lines.append(f"送付先：{submission.mail_address or ASK}")
    return (*lines, f"その他の必要書類：{submission.other_documents}")


def _file(pdf: bytes, name: str) -> Response:
    return Response(
        pdf,
        media_type="application/pdf",
        headers={**HEADERS, "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"},
    )
