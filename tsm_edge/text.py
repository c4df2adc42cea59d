r"""Text that is safe to show: without secrets, and without characters that a terminal would obey.

Every text that leaves the process passes through here: `tsm_edge.errors` for errors, `shown` for all that is printed or
logged. Names of sources are masked where they are made, so records and reports hold no secret either.
"""

import re
import unicodedata
from typing import Any

MASK = "***"

# The second form is a known one with a colon or a slash too few or too many. All repeats are bounded, so that no text,
# however long, takes more than linear time.
_SCHEME = re.compile(
    r"[A-Za-z][A-Za-z0-9+.\-]{1,20}:[/\\]+"
    r"|(?<![A-Za-z0-9])(?:rtsps?|rtmp[st]?|https?|ftps?|srt|rtp|udp|tcp)[:;/\\]+",
    re.IGNORECASE,
)
_ADDRESS_BEGINS = re.compile(r"(?:^|(?<=\s))(?:{})".format(_SCHEME.pattern), re.IGNORECASE)
_UNQUOTED = re.compile(r"[^\n\"'<>]+")
_WORD = re.compile(r"[^\s\"'<>]+")
# Plain words such as "key" are secrets within an address alone: `--set key=value` is none.
_SECRET_NAME = (
    r"((?:[?&;/\\][a-z0-9_\-]{0,40}(?:pass|pw|psw|pin|key|auth|authorization|signature|sig|sas|jwt|session|sid|ticket"
    r"|credentials?)|(?:password|passwd|passphrase|passcode|pwd|token|secret|api_?key))=)"
)
_SECRET_VALUE = re.compile(_SECRET_NAME + r"[^\s&\"'<>]+", re.IGNORECASE)
_SECRET_REST = re.compile(_SECRET_NAME + r"[^&]+", re.IGNORECASE)
_SECRET_HEADER = re.compile(r"(authorization: {0,9})[^\r\n]+", re.IGNORECASE)
_BIDIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def masked(text: str) -> str:
    """Return `text` with every password, user name without a password, and token of an address replaced by ``***``.

    An address is found anywhere in the text. Where an "@" may belong to the password or to what follows it, more is
    masked rather than less: ``http://host:80/a@b`` becomes ``http://host:***@b``. A quote ends an address,
    except for one that the text begins with.
    """
    if "@" in text:
        if _SCHEME.match(text.lstrip(" \t'\"")):
            line, end, rest = text.partition("\n")
            text = _without_user(line) + end + rest
        text = _UNQUOTED.sub(lambda match: _masked_addresses(match.group(0)), text)
        text = _WORD.sub(lambda match: _without_user(match.group(0)), text)
    if "=" in text:
        text = _SECRET_VALUE.sub(r"\1" + MASK, text)
    return _SECRET_HEADER.sub(r"\1" + MASK, text) if "uthorization:" in text else text


def masked_address(address: str) -> str:
    """Return one whole address, or a text that ends with one, as `masked` does.

    Spaces and quotes within a password are masked too: everything from the scheme to the last "@".
    """
    address = address.strip()
    if _SCHEME.search(address):
        address = _without_user(address)
    return masked(_SECRET_REST.sub(r"\1" + MASK, address))


def masked_lines(text: str) -> str:
    """Return lines of a log, an error or a traceback as `masked` does; quotes within a password are masked too.

    Of two addresses in one line, what stands between them is lost.
    """
    return masked("\n".join(_without_user(line) if _SCHEME.search(line) else line for line in text.split("\n")))


def _masked_addresses(text: str) -> str:
    """Mask each address in one line without quotes. A password may hold spaces: it ends at the last "@"."""
    if "@" not in text:
        return text
    begins = [match.start() for match in _ADDRESS_BEGINS.finditer(text)]
    parts = [text[begin:end] for begin, end in zip([0] + begins, begins + [len(text)])]
    return "".join(_without_user(part) if _SCHEME.search(part) else part for part in parts)


def _without_user(text: str) -> str:
    """Mask what stands in `text` between its first scheme, or its begin, and its last "@"."""
    if "@" not in text:
        return text
    scheme = _SCHEME.search(text)
    begin = scheme.end() if scheme else 0
    user, _, host = text[begin:].rpartition("@")
    name, colon, password = user.partition(":")
    if password:
        user = name + ":" + MASK
    elif colon:  # a token in the place of the name
        user = MASK + ":"
    elif scheme and user and not re.search(r"[/\\]", user):
        user = MASK
    return text[:begin] + user + ("@" if "@" in text[begin:] else "") + host


def printable(text: str) -> str:
    r"""Return `text` with what a terminal would obey written as escapes (``\x1b``); lines and tabs stay.

    Escaped are control characters, changes of the writing direction, line separators, and the bytes of a file name that
    is not UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(c if c in "\n\t" or not _is_obeyed(c) else _escaped(c) for c in text)


def one_line(text: str) -> str:
    r"""Return `text` as `printable` does, on one line: line ends and tabs become ``\n`` and ``\t``."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def shown(text: str, output: Any = None) -> str:
    """Return `text` as it may be printed: masked, printable, and with "?" for what the encoding of `output` lacks."""
    text = printable(masked(text))
    encoding = getattr(output, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def _is_obeyed(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _BIDIRECTIONAL


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # Python's stand-in for an undecodable byte (PEP 383)
        code -= 0xDC00
    return "\\x{:02x}".format(code) if code < 0x100 else "\\u{:04x}".format(code)
