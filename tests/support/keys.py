"""The secrets of the tests' stack, and what they open."""

from dataclasses import dataclass
from pathlib import Path

from chassis import sealing
from chassis.settings import Secrets
from schemas import authentication_key
from schemas.certificates import CertificateIssued


@dataclass(frozen=True)
class Keyring:
    """A folder filled by `deploy.secrets`."""

    folder: Path

    def of(self, service: str) -> Path:
        """What `secrets_dir` of a service's settings is."""
        return self.folder / service

    def database_password(self, service: str) -> str:
        return Secrets(self.of(service)).text("database_password")

    @property
    def pepper(self) -> bytes:
        return Secrets(self.of("issuer")).key("pepper")

    @property
    def at_rest(self) -> bytes:
        return Secrets(self.of("intake")).key("at_rest_key")

    def public_key(self, reader: str) -> bytes:
        return Secrets(self.of("intake")).key(f"public_keys/{reader}")

    def private_key(self, reader: str) -> bytes:
        return Secrets(self.of(reader)).key("private_key")

    def open_key(self, issued: CertificateIssued) -> str:
        """The authentication key of a certificate, as intake opens it."""
        info = authentication_key.sealing_info(issued.contract_number, issued.certificate_id)
        sealed = sealing.unb64(issued.authentication_key.sealed)
        return sealing.open_with(self.private_key("intake"), sealed, info=info).decode()
