"""What the registry needs beyond the common settings."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, PositiveInt

from chassis.settings import Seconds, ServiceSettings
from reference.reader import DEFAULT


class WitnessSettings(BaseModel):
    """Somebody else who sees our checkpoints."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: Below it is `add-checkpoint`.
    url: str
    #: Its verifier key (type 0x04), or the name of the secret that holds it.
    key: str
    #: With https: the authorities (PEM) whose certificate it must show; the system's when left out.
    ca_file: Path | None = None


class RegistrySettings(ServiceSettings):
    #: Folder of purchasers and sureties.
    reference_dir: Path = DEFAULT
    #: Failed look-ups of one account within a window: for one number, and in all.
    failures_per_number: PositiveInt = 5
    failures_per_account: PositiveInt = 30
    throttle_window_seconds: PositiveInt = 900
    #: A browser that gave number and key may read on for so long, until it signs out.
    certificate_open_seconds: PositiveInt = 1800
    #: The log's name in its checkpoints; that of its key when empty.
    log_origin: str = ""
    #: A checkpoint is signed at most so often, and its witnesses are asked as often.
    log_sign_seconds: Seconds = 1.0
    #: As JSON.
    witnesses: tuple[WitnessSettings, ...] = ()

    def ca_files(self) -> tuple[Path | None, ...]:
        return (*super().ca_files(), *(witness.ca_file for witness in self.witnesses))
