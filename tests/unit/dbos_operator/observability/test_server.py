"""Addresses and probe answers."""

from __future__ import annotations

import pytest

from dbos_operator.observability.address import Address, parse_address
from dbos_operator.observability.probes import ProbeResult


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":9464", Address("", 9464)),
        ("127.0.0.1:0", Address("127.0.0.1", 0)),
        ("localhost:8080", Address("localhost", 8080)),
        ("[::1]:8080", Address("::1", 8080)),
        ("[::]:8080", Address("::", 8080)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize("text", ["", "9464", ":", ":http", ":70000", "::1:8080", "host:", ":-1", ":٣"])
def test_anything_else_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="not an address"):
        parse_address(text)


def test_a_probe_passes_when_all_its_checks_do() -> None:
    result = ProbeResult({"loop": "", "watch": ""})
    assert (result.status, result.text()) == (200, "[+] loop\n[+] watch\nok\n")


def test_a_probe_that_fails_says_which_check() -> None:
    result = ProbeResult({"loop": "no tick for 90 s", "watch": ""})
    assert (result.status, result.text()) == (503, "[-] loop: no tick for 90 s\n[+] watch\nfailed\n")
