"""What the notifier needs beyond the common settings."""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from chassis.settings import Port, Seconds, ServiceSettings
from reference.reader import DEFAULT

#: What a lease must have left when the conversation has ended: time to note the outcome.
NOTING_SECONDS: Final = 5.0

#: Letters put a path behind it.
BaseUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s?#]+$"), AfterValidator(lambda url: url.rstrip("/"))]


class NotifierSettings(ServiceSettings):
    #: Folder of purchasers and sureties.
    reference_dir: Path = DEFAULT
    #: Where contractors log in; letters link to their pages.
    contractor_url: BaseUrl = "https://portal.akashi.example"
    smtp_host: str = "127.0.0.1"
    smtp_port: Port = 1025
    smtp_security: Literal["none", "starttls", "tls"] = "none"
    #: Over TLS: the authorities (PEM) whose certificate the server must show; the system's when left out.
    smtp_ca_file: Path | None = None
    #: Logs in when set; the password is the secret `smtp_password`.
    smtp_username: str | None = None
    #: One whole conversation, from connecting to the server's last answer.
    smtp_timeout_seconds: Seconds = 20.0
    #: Conversations at once, each over a connection of its own.
    smtp_conversations: Annotated[int, Field(ge=1, le=64)] = 4
    #: How long a letter belongs to the process that took it.
    lease_seconds: Seconds = 60.0
    #: How often one of them looks for due letters when nobody says that there are some.
    poll_seconds: Seconds = 1.0
    #: Waits after each time a server put a letter off; the last one repeats.
    back_off_seconds: Annotated[tuple[Seconds, ...], Field(min_length=1)] = (5, 30, 120, 600, 1800, 3600)
    #: Longest wait for a server that takes no mail at all.
    server_away_seconds: Seconds = 30.0
    #: A letter that waited so long for a server is given up.
    give_up_after_seconds: Seconds = 4 * 86400.0
    #: A letter of which nobody knows whether it left: send again (with the same Message-ID), or leave it to a person.
    unknown_outcome: Literal["resend", "park"] = "resend"
    sweep_every_seconds: Seconds = 60.0
    #: A half without its other halves is counted and logged after this.
    half_alone_after_seconds: Seconds = 3600.0
    #: A registration without its application goes to the dead letters after this.
    park_after_seconds: Seconds = 86400.0

    def ca_files(self) -> tuple[Path | None, ...]:
        return (*super().ca_files(), self.smtp_ca_file)

    @model_validator(mode="after")
    def _a_lease_outlives_its_conversation(self) -> Self:
        if self.smtp_timeout_seconds + NOTING_SECONDS > self.lease_seconds:
            raise ValueError(f"lease_seconds must be smtp_timeout_seconds and {NOTING_SECONDS:.0f} more, or above")
        return self
