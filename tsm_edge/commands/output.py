"""What a command prints."""

import sys
from typing import IO, Optional

from tsm_edge.text import shown


def print_text(text: str, stream: Optional[IO[str]] = None) -> None:
    """Print lines of text at once, as `tsm_edge.text.shown` makes them safe; on standard output by default.

    Raises OSError where the stream cannot be written: `tsm_edge.cli` reports it.
    """
    stream = sys.stdout if stream is None else stream
    stream.write(shown(text if text.endswith("\n") else text + "\n", stream))
    stream.flush()
