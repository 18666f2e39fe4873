"""`python -m transparency verify EXPORT --key VKEY`: one sentence, and exit 0 when all is well, 1 when it is not."""

import argparse
import io
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from transparency.checkpoints import Trust
from transparency.errors import DoesNotVerify
from transparency.reading import read_small
from transparency.signatures import VerifierKey
from transparency.verify import ALLOWED_SKEW, verify
from transparency.wanted import Wanted


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    try:
        sys.stdout.write(f"{_verify(given)}\n")
    except DoesNotVerify as error:
        sys.stdout.write(f"{error}\n")
        return 1
    return 0


def _verify(given: argparse.Namespace) -> object:
    keys = tuple(VerifierKey.parse(key) for key in given.key)
    witnesses = tuple(VerifierKey.parse(key) for key in given.witness)
    quorum = len(witnesses) if given.quorum is None else given.quorum
    trust = Trust(given.origin or keys[0].name, keys, witnesses, quorum)
    held = [(path.name, read_small(path, path.name).decode(errors="replace")) for path in given.checkpoint]
    wanted = None
    if given.certificate is not None:
        raw = read_small(given.certificate, given.certificate.name)
        wanted = Wanted.parse(raw, given.certificate.name, trust)
    return verify(given.export, trust, held=held, wanted=wanted, allowed_skew=given.allowed_skew)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m transparency", description=__doc__)
    command = parser.add_subparsers(required=True).add_parser("verify", help="verify an export of the log")
    command.add_argument("export", type=Path, nargs="+", help="its folder; of several, the oldest first")
    command.add_argument("--key", action="append", required=True, help="the log's verifier key, got by another way")
    command.add_argument("--witness", action="append", default=[], help="a witness' verifier key (type 0x04)")
    command.add_argument("--quorum", type=int, help="witnesses that must have cosigned; all that are named by default")
    command.add_argument("--origin", help="the log's origin, where it is not the name of its key")
    command.add_argument(
        "--checkpoint", type=Path, action="append", default=[], help="one that you kept: the log must contain it"
    )
    command.add_argument("--certificate", type=Path, help="an akashi-proof/1, or a certificate's content as JSON")
    command.add_argument(
        "--allowed-skew",
        type=_seconds,
        default=ALLOWED_SKEW,
        metavar="SECONDS",
        help=f"by which the clocks of issuer and registry may differ ({ALLOWED_SKEW.total_seconds():g})",
    )
    return parser


def _seconds(text: str) -> timedelta:
    try:
        seconds = timedelta(seconds=float(text))
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds") from None
    if seconds < timedelta(0):
        raise argparse.ArgumentTypeError("clocks cannot differ by less than nothing")
    return seconds


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(main())
