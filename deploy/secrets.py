"""Which secrets does a deployment need, and who may see which?

    postgres/superuser_password, postgres/<service>_password      for whoever makes the databases
    <service>/database_password                                   the same value, for the service alone
    {<service>,operator,admin,broker}/kafka_password              what each user of Kafka says to be let in
    broker/jaas.conf, broker/client.properties                    the same values, for the broker and its health check
    {intake,issuer,notifier}/private_key                          X25519, raw, base64: what is sealed to each of them
    intake/public_keys/{intake,issuer,notifier}, issuer/public_keys/intake
    issuer/pepper, registry/pepper                                the same 32 bytes: the digest of an authentication key
    {intake,issuer,registry}/at_rest_key                          what each keeps to itself: keys, drafts, codes
    signing/authority.pem                                         key and certificate of a local authority for PDFs
    signing/{intake,registry}.pem                                 key and certificate of each that signs PDFs
    {intake,registry}/document_key.pem, document_chain.pem        the same, as the services read it
    registry/log_key, registry/log_verifier_key                   Ed25519, as C2SP signed-note writes them: the log's
    witness/key, witness/log_verifier_key                         of the witness of this machine, and whom it watches
    registry/witness_verifier_key                                 the public half of the witness'
    tls/authority.pem                                             key and certificate of the authority for TLS
    {broker,database,mailbox,witness,<service>}/tls.pem           key and certificate of each that listens
    {postgres,operator,admin,broker,<service>}/ca.pem             that certificate, for each that calls others
    broker/client-tls.properties                                  as client.properties, where the broker speaks TLS

Each service is given its own folder and no other. Nobody is given `signing` or `tls`. `database` is for the server of
PostgreSQL itself.
"""

import base64
import os
import secrets
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate

from chassis.kafka import ADMINISTRATOR, BROKER, OPERATOR
from deploy.certificates import is_still_good, make_server_certificate, make_tls_authority
from documents.authority import KeyAndCertificate, make_authority, make_signing_certificate
from transparency.errors import DoesNotVerify
from transparency.signatures import KEY_BYTES, SignerKey

#: Of authority and signers. A replacement is due before: remove the old files, and start again.
SIGNING_LASTS: Final = timedelta(days=3650)
SERVICES = ("intake", "issuer", "registry", "notifier")
#: The broker itself, who makes topics and rules, who reads everything, and the services.
KAFKA_USERS: Final = (BROKER, ADMINISTRATOR, OPERATOR, *SERVICES)
#: Whoever listens, and the names that others call it by. The issuer's desk is the same program under another name.
LISTENERS: Final[Mapping[str, tuple[str, ...]]] = {
    BROKER: ("kafka",),
    "database": ("postgres",),
    "mailbox": ("mailbox",),
    "witness": ("witness",),
    "intake": ("intake",),
    "issuer": ("issuer", "desk"),
    "registry": ("registry",),
    "notifier": ("notifier",),
}
#: Whoever calls others. `postgres` is the folder of whoever makes the databases.
CALLERS: Final = (*KAFKA_USERS, "postgres")
_PLAIN_LOGIN: Final = "org.apache.kafka.common.security.plain.PlainLoginModule"
#: Names of keys are for ever: every checkpoint and every kept proof bears them.
LOG_NAME: Final = "log.akashi.example/registry"
WITNESS_NAME: Final = "witness.akashi.example/local"


class SecretsDoNotFit(Exception):
    """A secret was lost, was damaged, or belongs to others. One sentence says which, and what to do."""


def make_secrets(folder: Path, *, file_mode: int = 0o600, folder_mode: int = 0o700) -> list[str]:
    """Make every secret that is not there yet. Returns the names of what was written.

    Nothing that was drawn is changed, so it can be repeated, also by several at once: all end with the same values.
    What says them in other words, or to another service, is written anew where it differs.

    Raises `SecretsDoNotFit` for one that is there and can be none, or does not fit its other half; and for one that was
    lost: where what is left says that it was there, a new one would open nothing and contradict what was signed.
    """
    keep = _Keeper(folder, file_mode, folder_mode)
    keep("postgres/superuser_password", _password)
    for service in SERVICES:
        password = keep(f"postgres/{service}_password", _password)
        keep.renew(f"{service}/database_password", partial(str, password), password.__eq__)

    users = {user: keep(f"{user}/kafka_password", _password) for user in KAFKA_USERS}
    for name, said in (
        ("broker/jaas.conf", _jaas(users)),
        ("broker/client.properties", _client_properties(users[BROKER])),
        ("broker/client-tls.properties", _client_tls_properties(users[BROKER])),
    ):
        keep.renew(name, partial(str, said), said.__eq__)

    # Before its private key, which tells others at it that it was made.
    keep("intake/at_rest_key", _random_key, check=_key, left=("intake/private_key",))
    for service in ("issuer", "registry"):
        keep(f"{service}/at_rest_key", _random_key, check=_key)

    for reader in ("intake", "issuer", "notifier"):
        public = (f"intake/public_keys/{reader}", *(["issuer/public_keys/intake"] if reader == "intake" else []))
        private_key = keep(f"{reader}/private_key", _private_key, check=_public_half, left=public)
        keep.half(f"{reader}/private_key", public, _public_half(private_key))

    twin = keep.there("registry/pepper")
    pepper = keep("issuer/pepper", partial(str, twin) if twin else _random_key, check=_key)
    keep.half("issuer/pepper", ("registry/pepper",), pepper)

    public = ("registry/log_verifier_key", "witness/log_verifier_key")
    log_key = keep("registry/log_key", partial(_note_key, LOG_NAME), check=SignerKey.parse, left=public)
    keep.half("registry/log_key", public, str(SignerKey.parse(log_key).verifier))
    # Another witness may be named there by now.
    public = ("registry/witness_verifier_key",)
    witness_key = keep("witness/key", partial(_note_key, WITNESS_NAME), check=SignerKey.parse, left=public)
    keep(*public, partial(str, SignerKey.parse(witness_key).as_cosigner().verifier))

    # Key and certificate in one file each: several who make them at once must not mix theirs.
    authority = _pair(keep("signing/authority.pem", _authority, check=_readable))
    for service in ("intake", "registry"):
        signer = _pair(keep(f"signing/{service}.pem", partial(_signer, authority, service), check=_readable))
        keep(f"{service}/document_key.pem", signer.key_pem.decode)
        keep(f"{service}/document_chain.pem", (signer.certificate_pem + authority.certificate_pem).decode)

    _make_certificates(keep, datetime.now(UTC))
    return keep.written


def _make_certificates(keep: "_Keeper", now: datetime) -> None:
    """For TLS. What is near its end, or of an authority that was taken away, is made anew."""
    authority = _pair(keep("tls/authority.pem", lambda: _joined(make_tls_authority(now)), check=_readable))
    for part, names in LISTENERS.items():
        keep.renew(
            f"{part}/tls.pem",
            partial(lambda names: _joined(make_server_certificate(authority, names, now)), names),
            partial(lambda names, shown: is_still_good(_pair(shown), authority, names, now), names),
        )
    certificate = authority.certificate_pem.decode()
    for part in CALLERS:
        keep.renew(f"{part}/ca.pem", lambda: certificate, certificate.__eq__)


class _Keeper:
    """Writes a value under a name unless there is one already; answers the one that is there."""

    def __init__(self, root: Path, file_mode: int, folder_mode: int) -> None:
        self._root = root
        self._file_mode = file_mode
        self._folder_mode = folder_mode
        self.written: list[str] = []
        self._make_folder(root)

    def __call__(
        self, name: str, draw: Callable[[], str], *, check: Callable[[str], object] = str, left: Sequence[str] = ()
    ) -> str:
        """`check` raises for what can be no such secret; `left` is there only if this one was there, too."""
        # First what is left: of several at once another may have made this one, and then that.
        remaining = [one for one in left if (self._root / one).exists()]
        path = self._root / name
        for parent in reversed(path.relative_to(self._root).parents[:-1]):
            self._make_folder(self._root / parent)
        if not path.exists():
            if remaining:
                raise SecretsDoNotFit(
                    f"The secret {name} is not in {self._root} any more, and {' and '.join(remaining)} still is: bring "
                    "it back from the backup of secrets, because a new one would not fit."
                )
            self._write(path, draw())
            self.written.append(name)
        value = self.there(name)
        try:
            check(value or "")
            is_one = bool(value)
        except (ValueError, TypeError, UnsupportedAlgorithm, DoesNotVerify):
            is_one = False
        if not is_one:
            raise SecretsDoNotFit(
                f"The secret {name} in {self._root} can be none: bring it back from the backup of secrets."
            )
        return value or ""

    def there(self, name: str) -> str | None:
        """The value that is there, if any."""
        try:
            return (self._root / name).read_text()
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            return ""

    def half(self, of: str, names: Sequence[str], value: str) -> None:
        """What others are given of a secret."""
        for name in names:
            if self(name, partial(str, value)).strip() != value.strip():
                raise SecretsDoNotFit(
                    f"The secrets {of} and {name} in {self._root} do not fit each other: bring both back from the "
                    f"backup of secrets, or remove {name} if that is the wrong one."
                )

    def renew(self, name: str, draw: Callable[[], str], is_good: Callable[[str], bool]) -> None:
        """As above; and what is there, but no good any more, is replaced."""
        if (value := self.there(name)) is None:
            self(name, draw)
        elif not is_good(value):
            self._write(self._root / name, draw(), instead=True)
            self.written.append(name)

    def _make_folder(self, folder: Path) -> None:
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True, mode=self._folder_mode)
            folder.chmod(self._folder_mode)

    def _write(self, path: Path, value: str, *, instead: bool = False) -> None:
        """Appear complete or not at all; the first of several wins, because a link never overwrites.

        `instead` of what is there: the last wins.
        """
        number, name = tempfile.mkstemp(dir=path.parent, prefix=".")
        fresh = Path(name)
        try:
            with os.fdopen(number, "w") as file:
                os.fchmod(number, self._file_mode)
                file.write(value)
                file.flush()
                os.fsync(number)
            if instead:
                fresh.replace(path)
            else:
                path.hardlink_to(fresh)
        except FileExistsError:
            pass
        finally:
            fresh.unlink(missing_ok=True)


def _password() -> str:
    return secrets.token_urlsafe(24)


def _jaas(passwords: Mapping[str, str]) -> str:
    """Whom the broker knows, and as whom it speaks to itself."""
    users = [f'    user_{user}="{password}"' for user, password in passwords.items()]
    itself = [f'    username="{BROKER}"', f'    password="{passwords[BROKER]}"']
    module = f"    {_PLAIN_LOGIN} required"
    return "\n".join(["KafkaServer {", module, *itself, *users]) + ";\n};\n"


def _client_properties(password: str) -> str:
    login = f'{_PLAIN_LOGIN} required username="{BROKER}" password="{password}";'
    return f"security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.jaas.config={login}\n"


def _client_tls_properties(password: str) -> str:
    """Read with the folder as working directory: where it is mounted is not known here."""
    plain = _client_properties(password).replace("SASL_PLAINTEXT", "SASL_SSL")
    return f"{plain}ssl.truststore.type=PEM\nssl.truststore.location=ca.pem\n"


def _random_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def _private_key() -> str:
    return base64.b64encode(X25519PrivateKey.generate().private_bytes_raw()).decode()


def _key(secret: str) -> bytes:
    raw = base64.b64decode(secret.strip(), validate=True)
    if len(raw) != KEY_BYTES:
        raise ValueError(f"{len(raw)} bytes")
    return raw


def _readable(pem: str) -> None:
    pair = _pair(pem)
    load_pem_private_key(pair.key_pem, password=None)
    load_pem_x509_certificate(pair.certificate_pem)


def _note_key(name: str) -> str:
    return SignerKey(name, secrets.token_bytes(KEY_BYTES)).secret_text()


def _public_half(private_key: str) -> str:
    key = X25519PrivateKey.from_private_bytes(_key(private_key))
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def _authority() -> str:
    now = datetime.now(UTC)
    made = make_authority(
        common_name="Akashi Local Document CA",
        organization="Akashi",
        valid_from=now - timedelta(days=1),
        valid_until=now + SIGNING_LASTS,
    )
    return _joined(made)


def _signer(authority: KeyAndCertificate, service: str) -> str:
    now = datetime.now(UTC)
    made = make_signing_certificate(
        authority,
        common_name=f"Akashi {service} document signing",
        organization="Akashi",
        valid_from=now - timedelta(days=1),
        valid_until=now + SIGNING_LASTS,
    )
    return _joined(made)


def _joined(made: KeyAndCertificate) -> str:
    return (made.key_pem + made.certificate_pem).decode()


def _pair(pem: str) -> KeyAndCertificate:
    key, begin, certificate = pem.partition("-----BEGIN CERTIFICATE-----")
    return KeyAndCertificate(key.encode(), (begin + certificate).encode())
