"""What a command prints."""

import sys
from typing import IO, Optional

from tsm_edge.sinks.console import encodable


def print_text(text: str, stream: Optional[IO[str]] = None) -> None:
    """Print lines of text at once, with "?" for each character that the encoding of `stream` (stdout) lacks."""
    stream = sys.stdout if stream is None else stream
    stream.write(encodable(text, stream))
    if not text.endswith("\n"):
        stream.write("\n")
    stream.flush()
