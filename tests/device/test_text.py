"""What may be shown: no secret of an address, nothing that a terminal obeys."""

import io
import logging
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsm_edge.errors import InputError, StreamError
from tsm_edge.text import masked, masked_address, one_line, printable, shown

SCHEMES = ("rtsp://", "rtmp://", "RTSPS://", "http://", "rtsp:/", "rtsp:\\\\", "srt:///", "rtsp//", "http:", "Rtsp;//")
HUSH = "Hu5h"  # in every made-up password

# What people put into passwords; an address within a text ends at a space, quote or bracket.
passwords = st.text("abXY09!#$%&()*+,-./:;=?@[]^_`{|}~\\", max_size=8)
endings = st.sampled_from(["", "/live", ":554/cam/1", "/a?x=1", "/user=admin&password=" + HUSH, "?token=" + HUSH])


@st.composite
def addresses(draw):
    """An address with a secret in it."""
    before, after, percent = draw(passwords), draw(passwords), draw(st.booleans())
    user = draw(st.sampled_from(["admin:", "u:", ""]))
    if not user:  # a password alone: "/" would end it, ":" begin another one
        before, after = (part.translate({ord(c): None for c in "/\\?#:"}) for part in (before, after))
    if percent:
        before, after = quote(before, safe=""), quote(after, safe="")
    return draw(st.sampled_from(SCHEMES)) + user + before + HUSH + after + "@10.0.0.2" + draw(endings)


@given(addresses())
def test_no_secret_is_left_of_an_address(address):
    assert HUSH not in masked_address(address)
    assert HUSH not in masked_address("  " + address)
    assert HUSH not in masked("cannot open {!r}: refused, {}".format(address, address))


@given(addresses(), st.sampled_from([" ", "  ", "'", '"', "' \"", "<", "> "]))
def test_a_password_may_hold_spaces_and_quotes(address, odd):
    address = address.replace(HUSH, odd + HUSH + odd)
    assert HUSH not in masked_address(address) and HUSH not in masked_address("error: --source: " + address)
    assert HUSH not in masked(address) or "=" + odd in address  # of a query, in a text, a space or quote ends the value
    if not set(odd) - {" "} and "=" + odd not in address:
        assert HUSH not in masked("lost http://10.0.0.3/a and {}, twice".format(address))


@pytest.mark.parametrize(
    "part", ["a", "@", "a_", "http://", " http://", "ab:", "/a_a_a_pass=", ";a-", "'", "rtsp:u:p@h ", "\x1b"]
)
def test_any_length_takes_linear_time(part):
    """A pattern that tries every split of a text of this size would take hours."""
    for text in (part * (300000 // len(part)), "@" + part * (300000 // len(part)) + "=@"):
        begun = time.perf_counter()
        shown(text), masked_address(text)
        assert time.perf_counter() - begun < 20


@given(addresses())
def test_errors_hold_no_secret(address):
    assert HUSH not in str(StreamError("{}: gone".format(address)))
    error = InputError(address, address, "not " + address, "curl " + address)
    assert not any(HUSH in str(part) for part in (error, error.where, error.got, error.expected, error.do))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("rtsp://user:pass@cam:554/1", "rtsp://user:***@cam:554/1"),
        ("rtsp://user:p@ss:w@cam/1", "rtsp://user:***@cam/1"),
        ('rtsp://user:a b"c@cam/1', "rtsp://user:***@cam/1"),
        ("rtsp://user:a/b@cam/1", "rtsp://user:***@cam/1"),
        ("rtsp://hush@cam/1", "rtsp://***@cam/1"),
        ("rtsp://token:@cam/1", "rtsp://***:@cam/1"),
        ("http://cam/x?a=1&access_token=abc&b=2", "http://cam/x?a=1&access_token=***&b=2"),
        ("http://cam/x?key=abc", "http://cam/x?key=***"),
        ("http://cam/x?mykey=abc&accesstoken=d", "http://cam/x?mykey=***&accesstoken=***"),
        ("http://cam:80/a@b", "http://cam:***@b"),
        ("rtsp:/user:hush@cam", "rtsp:/user:***@cam"),
        ("rtsp//hush@cam", "rtsp//***@cam"),
        ("rtsp://cam/user=admin&password=a b;c&x=1", "rtsp://cam/user=admin&password=***&x=1"),
    ],
)
def test_what_is_left_of_an_address(address, expected):
    assert masked_address(address) == expected


@pytest.mark.parametrize(
    "text",
    ["rtsp://cam:554/1", "me@example.org", "http://host/a@b/c.mp4", "--set key=value", "3:2 at 12:30", "a/b@c.mp4"],
)
def test_what_is_no_secret_stays(text):
    assert masked(text) == text


def test_what_a_library_logs_of_a_request():
    text = "[http @ 0x1] request: GET /a?token=hush HTTP/1.1\r\nAuthorization: Basic aHVzaA==\r\nHost: cam"
    assert masked(text) == text.replace("token=hush", "token=***").replace("Basic aHVzaA==", "***")


@given(st.text())
def test_nothing_printable_is_obeyed(text):
    made = printable(text)
    assert all(c in "\n\t" or ord(c) >= 32 for c in made)
    assert not set(made) & set("\x7f\x9b\u2028\u202e\u2066")
    assert not set(one_line(text)) & set("\n\t\r")
    assert printable(made) == made


def test_escapes_can_be_read():
    assert printable("\x1b[31mred\u202e\r\n\tend \u00e9") == "\\x1b[31mred\\u202e\\x0d\n\tend \u00e9"
    assert printable(b"caf\xe9.mp4".decode("utf-8", "surrogateescape")) == "caf\\xe9.mp4"
    assert one_line("a\nb\tc") == "a\\nb\\tc"


def test_shown_is_what_the_output_can_encode():
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    assert shown("h\u00f6r rtsp://u:p@h", output) == "h?r rtsp://u:***@h"


def test_log_lines_are_safe(capsys):
    from tsm_edge.cli import _SafeFormatter

    record = logging.makeLogRecord({"name": "x", "msg": "%s: lost\x1b[2J", "args": ("rtsp://u:hush@cam",)})
    assert _SafeFormatter("%(name)s: %(message)s").format(record) == "x: rtsp://u:***@cam: lost\\x1b[2J"
