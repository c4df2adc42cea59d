"""Model files that are not opened."""

import pytest

from tsm_edge import load_engine
from tsm_edge.errors import InputError


def refused(path, *words):
    """`load_engine(path)` must raise an InputError that holds these words and says what to do."""
    with pytest.raises(InputError) as caught:
        load_engine(path)
    for word in words:
        assert word in str(caught.value), (word, str(caught.value))
    assert "do:" in str(caught.value)
