r"""Text that is safe to show: without secrets, and without characters that a terminal would obey.

Every text that leaves the process passes through here: `tsm_edge.errors` for errors, `shown` for all that is printed or
logged. Names of sources are masked where they are made, so records and reports hold no secret either.
"""

import re
import unicodedata
from typing import Any, Match

MASK = "***"

_SCHEME = r"[A-Za-z][A-Za-z0-9+.\-]+:[/\\]+"
_WORD_WITH_AT = re.compile(r"[^\s\"'<>]*@[^\s\"'<>]*")
_BEFORE_USER = re.compile(r"(.*?{})?(.*)".format(_SCHEME), re.DOTALL)
# Plain words such as "key" are secrets within an address alone: `--set key=value` is none.
_SECRET_VALUE = re.compile(
    r"((?:[?&;/\\](?:[a-z0-9]+[_\-])*(?:pass|pw|key|apikey|auth|authkey|authorization|signature|sig|sas|credentials?)"
    r"|(?<![a-z0-9])(?:[a-z0-9]+[_\-])*(?:password|passwd|passphrase|pwd|token|secret|api_key))=)[^\s&;\"'<>]+",
    re.IGNORECASE,
)
_BIDIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def masked(text: str) -> str:
    """Return `text` with every password, user name without a password, and token of an address replaced by ``***``.

    An address is found anywhere in the text. Where an "@" may belong to the password or to what follows it, more is
    masked rather than less: ``http://host:80/a@b`` becomes ``http://host:***@b``.
    """
    if "@" in text:
        text = _WORD_WITH_AT.sub(_without_user, text)
    return _SECRET_VALUE.sub(r"\1" + MASK, text) if "=" in text else text


def masked_address(address: str) -> str:
    """Return one whole address as `masked` does. Spaces and quotes within a password are masked too."""
    if re.match(r"\s*" + _SCHEME, address):
        address = re.sub(r"(?s).*@.*", _without_user, address.strip(), count=1)
    return masked(address)


def _without_user(match: Match) -> str:
    before, rest = _BEFORE_USER.match(match.group(0)).groups()  # type: ignore[union-attr] # it matches any text
    user, _, host = rest.rpartition("@")
    name, colon, password = user.partition(":")
    if password:
        user = name + ":" + MASK
    elif colon:  # a token in the place of the name
        user = MASK + ":"
    elif before and not re.search(r"[/\\]", user):
        user = MASK
    return "{}{}@{}".format(before or "", user, host)


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
