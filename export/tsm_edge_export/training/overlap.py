"""Clips that the training list and the test list share: their accuracy says nothing about new clips."""

import bisect
import hashlib
import itertools
import math
import os
import stat
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from tsm_edge.errors import InputError

from .clips import Clip

MAX_COMPARED_CLIPS = 5000  # of both lists together; more are compared by path alone
MAX_COMPARED_FILES = 200_000
MAX_COMPARED_BYTES = 2 << 30  # read for the comparison by content
SHOWN = 3  # pairs that a message names

Pair = tuple[Clip, Clip]  # a test clip, and a training clip that shows the same frames
Key = Callable[[Clip], Any]


def check_overlap(train: Sequence[Clip], test: Sequence[Clip], where: Any) -> list[Pair]:
    """Return the test clips that are training clips too, each with one such training clip.

    Two clips are the same where their parts of a video overlap in time and they have the same real path or, in lists of
    at most MAX_COMPARED_CLIPS clips, files of the same bytes. Rendered clips, and clips played backwards for
    `data.reversed`, are not compared.

    Args:
        train: the training clips.
        test: the test clips.
        where: the configuration, for messages.

    Raises InputError where both lists hold the same clips.
    """
    train, test = _compared(train), _compared(test)
    pairs = shared_clips(train, test)
    if test and len(pairs) == len(test) and len(shared_clips(test, train)) == len(train):
        got = f"the same {len(test)} clips as data.train"
        expected = "clips that are not trained on"
        raise InputError(f"{where}: data.test", got, expected, "move some clips of each label to the test list")
    return pairs


def overlap_text(pairs: Sequence[Pair], test: Sequence[Clip]) -> str:
    """Return the warning about the clips that `check_overlap` found among `test`."""
    text = f"warning: {len(pairs)} of {len(_compared(test))} test clips are training clips too, so the test accuracy "
    names = [test.name if test.name == train.name else f"{test.name} = {train.name}" for test, train in pairs[:SHOWN]]
    return text + "is too high: " + ", ".join(names) + (", ..." if len(pairs) > SHOWN else "")


def shared_clips(train: Sequence[Clip], test: Sequence[Clip]) -> list[Pair]:
    """Return each clip of `test` that is in `train` too, with one such clip of `train`."""
    found = _matches(train, test, lambda clip: os.path.realpath(clip.place))
    both = [*train, *test]
    if len(both) <= MAX_COMPARED_CLIPS and sum(clip.file_count for clip in both) <= MAX_COMPARED_FILES:
        found = {**_matches(train, test, _contents(both)), **found}
    return [(test[index], found[index]) for index in sorted(found)]


def duplicates(clips: Sequence[Clip]) -> list[Pair]:
    """Return each clip that shows the same frames as an earlier one, with that one: by the bytes of their files.

    Parts of videos are not compared.
    """
    whole = [clip for clip in _compared(clips) if clip.part == (0.0, math.inf)]
    content = _contents(whole)
    first: dict[Any, Clip] = {}
    return [(clip, first[key]) for clip in whole if first.setdefault(key := content(clip), clip) is not clip]


def _compared(clips: Sequence[Clip]) -> list[Clip]:
    return [clip for clip in clips if hasattr(clip, "place")]


def _matches(train: Sequence[Clip], test: Sequence[Clip], key: Key) -> dict[int, Clip]:
    """Return index of a test clip -> a training clip of the same key and an overlapping part."""
    by_key = defaultdict(list)
    for clip in sorted(train, key=lambda clip: clip.part[0]):
        by_key[key(clip)].append(clip)
    starts = {name: [clip.part[0] for clip in clips] for name, clips in by_key.items()}
    longest: dict[Any, list[Clip]] = {  # for each clip the one that ends last of those that start no later
        name: list(itertools.accumulate(clips, lambda a, b: a if a.part[1] >= b.part[1] else b))
        for name, clips in by_key.items()
    }
    found = {}
    for index, clip in enumerate(test):
        name, (start, end) = key(clip), clip.part
        earlier = bisect.bisect_left(starts.get(name, []), end)
        if earlier and longest[name][earlier - 1].part[1] > start:
            found[index] = longest[name][earlier - 1]
    return found


def _contents(clips: Sequence[Clip]) -> Key:
    """Return a function from a clip to what its files hold. It reads only files whose sizes several clips have."""
    sizes = {clip.place: _sizes(clip) for clip in clips}
    counts = Counter(sizes.values())
    digests: dict[str, Any] = {}
    left = MAX_COMPARED_BYTES

    def content(clip: Clip) -> Any:
        nonlocal left
        place, total = clip.place, sum(sizes[clip.place])
        if place not in digests:
            digests[place] = place
            if counts[sizes[place]] > 1 and 0 < total <= left:
                left -= total
                digests[place] = _digest(clip) or place
        return digests[place]

    return content


def _sizes(clip: Clip) -> tuple[int, ...]:
    """Return the sizes of a clip's files in bytes, () where one is no regular file."""
    try:
        found = [os.stat(path) for path in clip.files()]
    except OSError:
        return ()
    return tuple(each.st_size for each in found) if all(stat.S_ISREG(each.st_mode) for each in found) else ()


def _digest(clip: Clip) -> bytes | None:
    """Return a digest of a clip's files, None where one cannot be read: such a clip is named when it is trained on."""
    digest = hashlib.sha256()
    try:
        for path in clip.files():
            with open(path, "rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
    except OSError:
        return None
    return digest.digest()
