"""What the issuer needs beyond the common settings."""

from pathlib import Path

from pydantic import HttpUrl, PositiveInt

from chassis.settings import Seconds, ServiceSettings
from reference.reader import DEFAULT


class IssuerSettings(ServiceSettings):
    #: Folder of purchasers and sureties.
    reference_dir: Path = DEFAULT
    #: Who is asked about a contractor's credit (信用照会) before a decision. Without one, nobody is.
    credit_check_url: HttpUrl | None = None
    #: The secret that it is shown (Bearer, RFC 6750), by its name. Without one, none is.
    credit_check_token: str | None = None
    #: After so long without an answer a person decides.
    credit_check_seconds: Seconds = 3.0
    #: So many questions on their way at once, of each issuer.
    credit_check_at_once: PositiveInt = 64
