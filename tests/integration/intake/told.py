"""What the other services tell intake."""

import uuid

from schemas.decisions import ApplicationDecided, ApplicationQueued, ProductOutcome
from schemas.notifications import MailSent
from schemas.views import CertificateViewed
from tests.support.clock import NOON


def queued(application_id):
    return ApplicationQueued(application_id=application_id, queued_at=NOON, findings=())


def decided(
    application_id, outcome="accepted", *, product="advance_payment", form="electronic", number=None, message=""
):
    told = ProductOutcome(product=product, form=form, outcome=outcome, contract_number=number)
    return ApplicationDecided(
        application_id=application_id,
        decided_at=NOON,
        decided_by="desk",
        rules_version="1",
        reference_version="1",
        outcomes=(told,),
        message=message,
    )


def viewed(issued):
    shared = ("certificate_id", "contract_number", "version", "application_id", "purchaser_id")
    return CertificateViewed(
        view_id=uuid.uuid4(), viewed_by=uuid.uuid4(), viewed_at=NOON, **{name: getattr(issued, name) for name in shared}
    )


def mail_sent(issued, **changes):
    return MailSent(
        **{
            "application_id": issued.application_id,
            "certificate_id": issued.certificate_id,
            "contract_number": issued.contract_number,
            "letter": "completion",
            "message_id": "<a@akashi.example>",
            "sent_at": NOON,
            "attempts": 1,
            **changes,
        }
    )
