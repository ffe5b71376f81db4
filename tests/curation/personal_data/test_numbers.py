"""Kinds made of digits: what is one, and what only looks like one."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_dag.curation.personal_data import cards, ibans, ip_addresses, phones, ssns
from llm_dag.curation.personal_data.numbers import starts

FINDERS = {
    "phone": phones.find,
    "card": cards.find,
    "iban": ibans.find,
    "ssn": ssns.find,
    "ipv6": ip_addresses.find_ipv6,
    "ipv4": ip_addresses.find_ipv4,
}


def found(kind: str, text: str) -> list[str]:
    return [text[start:end] for start, end in FINDERS[kind](text, starts(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Call (212) 345-6789 now", ["(212) 345-6789"]),
        ("(212)345-6789, 212-345-6789. 212.345.6789 and 212 345-6789", None),
        ("1-800-234-5678 or 1 (800) 234-5678", ["1-800-234-5678", "1 (800) 234-5678"]),
        ("(719-440-1050) 919/345-6789", ["719-440-1050", "919/345-6789"]),
        ("212-345-6789 x123, 212-345-6789 ext. 44", ["212-345-6789 x123", "212-345-6789 ext. 44"]),
        ("+1 212 345 6789, +1-212-345-6789", ["+1 212 345 6789", "+1-212-345-6789"]),
        ("+1.2123456789 +12123456789", ["+1.2123456789", "+12123456789"]),
        ("+49 (0)89 1234-567", ["+49 (0)89 1234-567"]),
        ("+44 20 7946 0958/+33 1 23 45 67 89", ["+44 20 7946 0958", "+33 1 23 45 67 89"]),
        ("tel:+4915208649244, Fax + 49 89 1234567", ["+4915208649244", "+ 49 89 1234567"]),
        ("+7 495 123-45-67 8", ["+7 495 123-45-67"]),
        ("Tel.: 0471 80 60 745 Fax: 0471 80 60 747", ["0471 80 60 745", "0471 80 60 747"]),
        ("Phone:\n020 7946 0958", ["020 7946 0958"]),
        ("call us at 2123456789", ["2123456789"]),
        ("call 0345 744 4422 or 0345 744 4423", ["0345 744 4422", "0345 744 4423"]),
        ("Tel: 0871 527 8800Whether you come", ["0871 527 8800"]),
    ],
)
def test_telephone_numbers(text: str, expected: list[str] | None) -> None:
    if expected is None:
        expected = ["(212)345-6789", "212-345-6789", "212.345.6789", "212 345-6789"]
    assert found("phone", text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Python 3.12.10, version 2.11.123.4567, 10.1000/182.345.6789",
        "2012-11-10 12:30:45, 12/11/2012, 2012-2013, 20121110, 1.10.2012 bis 2.10.2012",
        "ISBN 978-3-16-148410-0, ISBN 0-306-40615-2, ISSN 1234-5678",
        "array([212, 345, 6789]) [212 345 6789] 212345678, 2123456789, 9 876 543 210",
        "0.2123456789 1e+12345678 x+49891234567 3+12345678901 +0200 2024-01-01T00:00:00+01:00",
        "tan(x)/2 + 30247/9900 - 0.2 + 3.14159265358979*I, 1 + 1.88679245283019, 2 + 2123456789",
        "+1000000000, +20 000 000, +49.1234567, -73.9857891, +1 112 345 6789, +999 123 456 78",
        "112-345-6789, 911-345-6789, 291-345-6789, 212-045-6789, 212-911-6789",
        "212-345-67890, 1212-345-6789, 212-345-6789-1, a212-345-6789, 212-345-6789b, 12.212.345.6789",
        "555-0100, (212) 555-0123, +1 212-555-0199, call 555-0142",
        "uuid 12345678-1234-1234-1234-123456789012 sha 212-345-6789abc",
        "call(12345678); telephone in 1999 or 2001",
        "whatsapp\n\n21.01.2022 News; fax: 2022-01-21; tel 3/11/1999",
    ],
)
def test_what_only_looks_like_a_telephone_number(text: str) -> None:
    assert found("phone", text) == []


def with_check_digit(digits: str) -> str:
    return next(digits + last for last in string.digits if cards.luhn(digits + last))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4111111111111111, 4012 8888 8888 1881.", ["4111111111111111", "4012 8888 8888 1881"]),
        ("5555-5555-5555-4444, 2223 0031 2200 3222", ["5555-5555-5555-4444", "2223 0031 2200 3222"]),
        ("3782 822463 10005 and 371449635398431", ["3782 822463 10005", "371449635398431"]),
        (
            "6011111111111117;3056 930902 5904;3530111333300000",
            ["6011111111111117", "3056 930902 5904", "3530111333300000"],
        ),
        ("4111 1111 1111 1111 12/27", ["4111 1111 1111 1111"]),
        ("my card 4222222222222, visa: 4222222222222", ["4222222222222", "4222222222222"]),
        (with_check_digit("623456789012345678"), [with_check_digit("623456789012345678")]),
    ],
)
def test_card_numbers(text: str, expected: list[str]) -> None:
    assert found("card", text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112 4111 1111 1111 1112",  # the check digit
        "1111111111111117 8111111111111111 0000 0000 0000 0000",  # no issuer
        "EAN 4222222222222, status/651234567890123450, id=4111111111111111 x4111111111111111",
        "41111111111111111, 3.4111111111111111, 4111111111111111.5, 4111-1111 1111-1111",
        "1000 4111 1111 1111 1111 and 4111 1111 1111 1111 2000",
    ],
)
def test_what_only_looks_like_a_card_number(text: str) -> None:
    assert found("card", text) == []


@given(st.text(string.digits, min_size=14, max_size=14), st.integers(0, 14), st.integers(1, 9))
def test_a_wrong_digit_makes_no_card_number(digits: str, at: int, more: int) -> None:
    """Luhn's check finds every single wrong digit."""
    number = with_check_digit("4" + digits)
    wrong = f"{number[:at]}{(int(number[at]) + more) % 10}{number[at + 1 :]}"
    assert found("card", number) == [number]
    assert found("card", wrong) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("IBAN DE89 3704 0044 0532 0130 00 BIC COBADEFFXXX", ["DE89 3704 0044 0532 0130 00"]),
        ("GB82WEST12345698765432, gb82west12345698765432", ["GB82WEST12345698765432", "gb82west12345698765432"]),
        ("FR14-2004-1010-0505-0001-3M02-606.", ["FR14-2004-1010-0505-0001-3M02-606"]),
        (
            "NO93 8601 1117 947 MT84MALT011000012345MTLCAST001S",
            ["NO93 8601 1117 947", "MT84MALT011000012345MTLCAST001S"],
        ),
        ("AB12 DE89 3704 0044 0532 0130 00", ["DE89 3704 0044 0532 0130 00"]),
    ],
)
def test_ibans(text: str, expected: list[str]) -> None:
    assert found("iban", text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "DE88 3704 0044 0532 0130 00",  # the check digits
        "DE89370400440532013 DE893704004405320130001 XDE89370400440532013000 DE8937040044053201300x",  # the length
        "XX82WEST12345698765432 ZZ89370400440532013000",  # the country
        "DE89 370 40044 0532 0130 00, De89370400440532013000",  # the groups, the letters
        "XX00 0000 0000 0000 0000, RFC2822, AT90 and BE16",
    ],
)
def test_what_only_looks_like_an_iban(text: str) -> None:
    assert found("iban", text) == []


@given(st.sampled_from(sorted(ibans.LENGTHS)), st.data())
def test_an_iban_of_every_country_is_found(country: str, data: st.DataObject) -> None:
    size = ibans.LENGTHS[country] - 4
    rest = data.draw(st.text(string.digits + string.ascii_uppercase, min_size=size, max_size=size))
    number = "".join(str(int(character, 36)) for character in f"{rest}{country}00")
    iban = f"{country}{98 - int(number) % 97:02}{rest}"
    in_fours = " ".join(iban[at : at + 4] for at in range(0, len(iban), 4))
    assert found("iban", f"({iban}) {in_fours}, ") == [iban, in_fours]
    assert found("iban", f"{country}{(98 - int(number) % 97) % 97 + 3:02}{rest}") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("123-45-6789, (899-99-9999) and 001-01-0001.", ["123-45-6789", "899-99-9999", "001-01-0001"]),
        ("SSN: 123 45 6789 or social security number 123456789", ["123 45 6789", "123456789"]),
        ("Jane,123-45-6789,x; +81 158-23-2012", ["123-45-6789"]),
        ("000-12-3456 666-12-3456 900-12-3456 987-65-4320 123-00-4567 123-45-0000 000-00-0000", []),
        ("123456789 and 123 45 6789, 123-456789, 123-45 6789, 078-05-1120", []),
        ("1123-45-6789 123-45-67890 a123-45-6789 123-45-6789-1 1.123-45-6789 123-45-6789.5", []),
    ],
)
def test_social_security_numbers(text: str, expected: list[str]) -> None:
    assert found("ssn", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("at 2606:4700:4700::1111.", ["2606:4700:4700::1111"]),
        (
            "[2001:4860:4860::8888]:53, 2a00:1450:4001:81b:0:0:0:200e/64",
            ["2001:4860:4860::8888", "2a00:1450:4001:81b:0:0:0:200e"],
        ),
        (
            "2A00:1450:4001:081B:0000:0000:0000:200E; 2606:4700:4700::1.2.3.4",
            ["2A00:1450:4001:081B:0000:0000:0000:200E", "2606:4700:4700::1.2.3.4"],
        ),
        ("ip: 2606:4700:4700::1111: seen", ["2606:4700:4700::1111"]),
        ("at 12:30:45, 2020:10:05, 1:2:3:4:5:6:7:8, 00:1a:2b:3c:4d:5e, std::vector, a[::2], face::b00c, x::y", []),
        ("2001:db8::1 fe80::1ff:fe23:4567:890a fc00::1 ::1 ff02::1 ::ffff:8.8.8.8 64:ff9b::808:808", []),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff0 2001:4860:4860::8888::1 2001:4860:4860:8888", []),
        ("x2606:4700:4700::1111 2606:4700:4700::1111g 2606:4700:4700::11111 2020::1 1:2606:4700:4700::1111", []),
        ("00:11:22:33:44:55:66:77 43:51:43:a1:b5:fc:8b:b7:0a:3a:a9:b1:0f:66:73:a8", []),
    ],
)
def test_ipv6_addresses(text: str, expected: list[str]) -> None:
    assert found("ipv6", text) == expected


def test_a_row_of_versions_holds_no_ipv4_address() -> None:
    assert found("ipv4", "OS-release: 5.10.102.1-microsoft") == []
    assert found("ipv4", "3.2.pl0 3.1.1.6 2g6 and 1 2.7.2.2 1.3.a4") == []
    assert found("ipv4", "8.8.8.8 9.9.9.9, 200 80.8.8.8 300") == ["8.8.8.8", "9.9.9.9", "80.8.8.8"]


PIECES = (
    *(
        "212-345-6789",
        "(212) 345-6789",
        "+49 89 1234567",
        "4111 1111 1111 1111",
        "DE89370400440532013000",
        "123-45-6789",
    ),
    *(
        "8.8.8.8",
        "2606:4700:4700::1111",
        "tel ",
        "card ",
        "SSN ",
        "1",
        "4",
        "0",
        "(",
        ")",
        "+",
        "-",
        ".",
        ",",
        " ",
        "\n",
        ":",
        "a",
        "DE89",
    ),
)


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_the_scan_for_numbers_leaves_none_out(text: str) -> None:
    """A kind that looks at every digit finds the same."""
    every = [at for at, character in enumerate(text) if character in string.digits]
    for kind, find in FINDERS.items():
        assert list(find(text, every)) == list(find(text, starts(text))), kind
