"""The certificates by which the parts of a deployment know each other."""

import datetime as dt
import ssl
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from chassis.tls import CertificateUnusable, good_until, showing, trusting, why_distrusted
from deploy import certificates, secrets
from deploy.certificates import AUTHORITY_LASTS, CERTIFICATE_LASTS, RENEWED_BEFORE, make_server_certificate
from deploy.secrets import CALLERS, LISTENERS, make_secrets
from documents.authority import KeyAndCertificate

#: What exists of TLS in a folder of secrets.
TLS_FILES = {
    "tls/authority.pem",
    *(f"{part}/tls.pem" for part in LISTENERS),
    *(f"{part}/ca.pem" for part in CALLERS),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_secrets(tmp_path / "secrets")
    return tmp_path / "secrets"


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch):
    """Let the secrets be made so much later than now."""

    def moved(by: timedelta) -> None:
        now = datetime.now(UTC) + by

        class Clock(dt.datetime):
            @classmethod
            def now(cls, tz=None):
                return now

        monkeypatch.setattr(secrets, "datetime", Clock)

    return moved


def tls_files(folder: Path) -> dict[str, str]:
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*.pem")}
    return {name: path.read_text() for name, path in files.items() if name in TLS_FILES}


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """What both would do over a connection. Raises what the client thinks of the server."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server, server_hostname=name)
    there = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(5):
        for side in (here, there):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert here.version() == "TLSv1.3"


def test_everybody_who_listens_or_calls_has_theirs_and_only_theirs(folder: Path) -> None:
    assert tls_files(folder).keys() == TLS_FILES
    keys = [(folder / part / "tls.pem").read_text() for part in LISTENERS]
    assert len(set(keys)) == len(keys)
    authority_key = (folder / "tls" / "authority.pem").read_text().partition("-----BEGIN CERTIFICATE")[0]
    elsewhere = [path for path in folder.rglob("*") if path.is_file() and path.parent.name != "tls"]
    assert not [path for path in elsewhere if authority_key in path.read_text()]
    for part in CALLERS:
        assert "PRIVATE KEY" not in (folder / part / "ca.pem").read_text()


def test_only_the_owner_reads_them(folder: Path) -> None:
    for name in TLS_FILES:
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
        assert stat.S_IMODE((folder / name).parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("part", sorted(LISTENERS))
def test_each_is_believed_under_its_names_and_no_other(folder: Path, part: str) -> None:
    server, client = showing(folder / part / "tls.pem"), trusting(folder / "operator" / "ca.pem")

    for name in (*LISTENERS[part], "localhost", "127.0.0.1"):
        shake_hands(server, client, name)
    for name in ("127.0.0.2", next(other for other in LISTENERS if other not in (part, *LISTENERS[part]))):
        with pytest.raises(ssl.SSLCertVerificationError) as distrusted:
            shake_hands(server, client, name)
        assert "mismatch" in (why_distrusted(distrusted.value) or "")


def test_nobody_of_another_authority_is_believed(folder: Path, tmp_path: Path) -> None:
    make_secrets(tmp_path / "other")

    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(showing(tmp_path / "other" / "broker" / "tls.pem"), trusting(folder / "intake" / "ca.pem"), "kafka")


def test_a_second_start_makes_nothing_new(folder: Path) -> None:
    before = tls_files(folder)

    make_secrets(folder)

    assert tls_files(folder) == before


def test_a_restart_in_each_ten_months_keeps_what_is_shown_good(folder: Path, later) -> None:
    """As docs/operations.md asks for it."""
    ten_months = timedelta(days=304)
    for days in (50, 100, 150, 350):
        later(timedelta(days=days))
        make_secrets(folder)
        then = datetime.now(UTC) + timedelta(days=days)
        assert good_until(folder / "intake" / "tls.pem") > (then + ten_months).timestamp(), days


def test_what_is_near_its_end_is_renewed_and_its_authority_is_not(folder: Path, later) -> None:
    before = tls_files(folder)
    later(CERTIFICATE_LASTS - RENEWED_BEFORE - timedelta(days=1))
    make_secrets(folder)
    assert tls_files(folder) == before

    later(CERTIFICATE_LASTS - RENEWED_BEFORE + timedelta(days=1))
    make_secrets(folder)

    after = tls_files(folder)
    assert {name for name in TLS_FILES if after[name] != before[name]} == {f"{part}/tls.pem" for part in LISTENERS}
    assert good_until(folder / "intake" / "tls.pem") - datetime.now(UTC).timestamp() > CERTIFICATE_LASTS.total_seconds()
    assert stat.S_IMODE((folder / "intake" / "tls.pem").stat().st_mode) == 0o600


def test_without_its_authority_everything_is_made_anew(folder: Path) -> None:
    before = tls_files(folder)
    (folder / "tls" / "authority.pem").unlink()

    make_secrets(folder)

    after = tls_files(folder)
    assert not {name for name in TLS_FILES if after[name] == before[name]}
    for part in LISTENERS:
        shake_hands(showing(folder / part / "tls.pem"), trusting(folder / "notifier" / "ca.pem"), LISTENERS[part][0])


def test_no_certificate_outlives_its_authority(folder: Path, later) -> None:
    later(AUTHORITY_LASTS - timedelta(days=100))
    make_secrets(folder)

    authority = x509.load_pem_x509_certificate((folder / "operator" / "ca.pem").read_bytes())
    assert good_until(folder / "intake" / "tls.pem") == authority.not_valid_after_utc.timestamp()


def test_several_at_once_end_with_one_set(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as workers:
        list(workers.map(make_secrets, [tmp_path / "secrets"] * 8))

    client = trusting(tmp_path / "secrets" / "operator" / "ca.pem")
    for part, names in LISTENERS.items():
        shake_hands(showing(tmp_path / "secrets" / part / "tls.pem"), client, names[0])


def test_a_certificate_for_other_names_is_replaced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(secrets.LISTENERS, "broker", ("kafka", "kafka-2"))

    make_secrets(folder)

    shake_hands(showing(folder / "broker" / "tls.pem"), trusting(folder / "issuer" / "ca.pem"), "kafka-2")


def test_one_that_has_ended_is_not_believed(folder: Path, tmp_path: Path) -> None:
    pem = (folder / "tls" / "authority.pem").read_text()
    key, begin, certificate = pem.partition("-----BEGIN CERTIFICATE-----")
    authority = KeyAndCertificate(key.encode(), (begin + certificate).encode())
    year_ago = datetime.now(UTC) - CERTIFICATE_LASTS - timedelta(minutes=1)
    ended = make_server_certificate(authority, ["kafka"], year_ago)
    (tmp_path / "ended.pem").write_bytes(ended.key_pem + ended.certificate_pem)

    with pytest.raises(ssl.SSLCertVerificationError) as distrusted:
        shake_hands(showing(tmp_path / "ended.pem"), trusting(folder / "intake" / "ca.pem"), "kafka")

    assert why_distrusted(distrusted.value) == "certificate has expired"


@pytest.mark.parametrize("use", [trusting, showing])
def test_a_file_that_is_missing_or_holds_something_else_is_told_in_a_sentence(use, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing\n")

    with pytest.raises(CertificateUnusable, match=r"^The certificates in .*missing\.pem can't be read: No such file"):
        use(tmp_path / "missing.pem")
    with pytest.raises(CertificateUnusable, match=r"^.*empty\.pem holds no .* in PEM\.$"):
        use(tmp_path / "empty.pem")


def test_a_key_without_its_certificate_is_told(folder: Path, tmp_path: Path) -> None:
    key = (folder / "intake" / "tls.pem").read_text().partition("-----BEGIN CERTIFICATE-----")[0]
    certificate = (folder / "issuer" / "tls.pem").read_text().partition("-----BEGIN CERTIFICATE-----")[2]
    (tmp_path / "mixed.pem").write_text(f"{key}-----BEGIN CERTIFICATE-----{certificate}")

    with pytest.raises(CertificateUnusable, match="holds no key with its certificate"):
        showing(tmp_path / "mixed.pem")


def test_clocks_may_differ_by_a_day(folder: Path) -> None:
    shown = x509.load_pem_x509_certificate((folder / "intake" / "tls.pem").read_bytes())

    assert shown.not_valid_before_utc <= datetime.now(UTC) - certificates._CLOCKS_DIFFER + timedelta(minutes=1)
