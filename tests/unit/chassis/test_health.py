"""What a container's health check asks."""

import ssl

from chassis.health import asked


def test_a_service_is_asked_as_it_listens() -> None:
    assert asked([], {}) == ("http://127.0.0.1:8000/health/ready", None)
    assert asked([], {"AKASHI_HTTP_PORT": "8001"}) == ("http://127.0.0.1:8001/health/ready", None)

    address, context = asked([], {"AKASHI_HTTP_CERTIFICATE_FILE": "/run/secrets/akashi/tls.pem"})
    assert address == "https://127.0.0.1:8000/health/ready"
    assert isinstance(context, ssl.SSLContext)


def test_another_part_says_where_it_is() -> None:
    assert asked(["8127", "/"], {"AKASHI_HTTP_CERTIFICATE_FILE": "/of/another.pem"}) == ("http://127.0.0.1:8127/", None)
    assert asked(["8127", "/", "/its/tls.pem"], {})[0] == "https://127.0.0.1:8127/"
