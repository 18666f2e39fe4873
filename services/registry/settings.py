"""What the registry needs beyond the common settings."""

from chassis.settings import ServiceSettings


class RegistrySettings(ServiceSettings):
    #: Failed look-ups of one account within a window: for one number, and in all.
    failures_per_number: int = 5
    failures_per_account: int = 30
    throttle_window_seconds: int = 900
    #: A browser that gave number and key may read on for so long, until it signs out.
    certificate_open_seconds: int = 1800
