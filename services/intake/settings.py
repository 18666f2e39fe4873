"""What intake needs beyond the common settings."""

from pathlib import Path

from chassis.settings import ServiceSettings
from reference.reader import DEFAULT


class IntakeSettings(ServiceSettings):
    #: Folder of purchasers and sureties.
    reference_dir: Path = DEFAULT
    #: Base address of the purchasers' portal, for the code on key notices and links of the public pages.
    purchaser_url: str = "https://view.akashi.example"
