"""Where is an attempt to sign in counted? Whom do services believe that it comes from elsewhere?"""

import pytest
from pydantic import ValidationError

from chassis.settings import ServiceSettings
from chassis.web.sessions import attempt_subjects

Pair = tuple[str, str]


@pytest.mark.parametrize(
    "pair",
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
        ("2001:db8::1", "2001:0DB8:0:0:1::"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::2%eth0"),
    ],
)
def test_an_ipv6_address_is_counted_with_its_whole_network(pair: Pair) -> None:
    assert attempt_subjects(pair[0], "takasaki") == attempt_subjects(pair[1], "takasaki")


@pytest.mark.parametrize(
    "pair",
    [
        ("2001:db8:1:2::1", "2001:db8:1:3::1"),
        ("192.0.2.1", "192.0.2.2"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2"),
        ("not-an-address", "nor-this"),
    ],
)
def test_addresses_of_different_people_are_counted_apart(pair: Pair) -> None:
    assert not attempt_subjects(pair[0], "takasaki").keys() & attempt_subjects(pair[1], "takasaki").keys()


@pytest.mark.parametrize("proxies", ["", "127.0.0.1", "10.0.0.5, 10.1.0.0/16", "::1,2001:db8::/32"])
def test_proxies_are_addresses_and_networks(proxies: str) -> None:
    assert ServiceSettings(trusted_proxies=proxies).trusted_proxies == proxies


@pytest.mark.parametrize("proxies", ["*", "proxy.example", "10.0.0.5/8", "127.0.0.1,*"])
def test_a_proxy_that_is_neither_is_refused(proxies: str) -> None:
    with pytest.raises(ValidationError, match="trusted_proxies"):
        ServiceSettings(trusted_proxies=proxies)
