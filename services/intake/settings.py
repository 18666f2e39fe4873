"""What intake needs beyond the common settings."""

from pathlib import Path

from chassis.settings import ServiceSettings
from reference.reader import DEFAULT


class IntakeSettings(ServiceSettings):
    #: Folder of purchasers and sureties.
    reference_dir: Path = DEFAULT
