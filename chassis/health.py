"""Is what listens here ready? Asked by the health check of a container: `python -m chassis.health`.

Without arguments it asks the service of this container; else a port, a path, and the certificate file if it shows one.
"""

import os
import ssl
import sys
import urllib.request
from collections.abc import Mapping, Sequence


def asked(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[str, ssl.SSLContext | None]:
    """The address to ask, and how. Its own certificate is not judged: nobody else can listen on its own loopback."""
    service = (environment.get("AKASHI_HTTP_PORT", "8000"), "/health/ready")
    port, path, *shown = arguments or (*service, *filter(None, [environment.get("AKASHI_HTTP_CERTIFICATE_FILE")]))
    if not shown:
        return f"http://127.0.0.1:{port}{path}", None
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return f"https://127.0.0.1:{port}{path}", context


def main() -> None:
    address, context = asked(sys.argv[1:], os.environ)
    # Anything but 200 raises.
    urllib.request.urlopen(address, timeout=5, context=context).close()  # noqa: S310 - the address is ours


if __name__ == "__main__":
    main()
