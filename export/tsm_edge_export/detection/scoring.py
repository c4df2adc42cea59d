"""From the found and the true boxes of clips to figures: all of them together, and group by group."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .average_precision import Operating, Outcomes, Ranked, at_false_rate, at_threshold, average_precision
from .bootstrap import Estimate, difference, draws, estimate
from .flicker import Flicker, of_track, total
from .groups import Group, areas, groups_in, members
from .matching import THRESHOLDS, FrameMatch, Predicted, match_frame
from .truth import Truth

FALSE_RATES = (0.01, 0.1, 1.0)  # false boxes a frame, at which the recall is told


class ClipResult(NamedTuple):
    """A clip and what was found in it.

    Attributes:
        name: of the clip.
        size: (height, width) of its frames in pixels.
        truths: the true boxes of each frame.
        found: the found boxes of each frame, in source pixels.
    """

    name: str
    size: tuple[int, int]
    truths: Sequence[Truth]
    found: Sequence[Predicted]


class Frame(NamedTuple):
    """The errors in one frame at the decision's threshold and a least overlap of 0.5."""

    clip: int
    frame: int
    missed: int  # true boxes that count and were not found
    false: int  # found boxes that count and are no true box


class Scores:
    """What a detector found in a set of clips, matched with the truth.

    Args:
        labels: one name a class.
        clips: at least one.
        threshold: the confidence from which on the decision shows a box. Average precision does not depend on it.

    Attributes:
        clips: as given.
        groups: those that these clips have.
    """

    def __init__(self, labels: Sequence[str], clips: Sequence[ClipResult], threshold: float) -> None:
        self.labels, self.clips, self.threshold = tuple(labels), list(clips), threshold
        self._members = [members(clip.truths, clip.size) for clip in clips]
        self._matches = [
            [[match_frame(found, truth, c) for c in range(len(labels))] for found, truth in _frames(clip)]
            for clip in clips
        ]
        self.groups = groups_in(self._members)
        self._ranked: dict[Group | None, list[Ranked]] = {}

    def classes(self, group: Group | None = None) -> list[Ranked]:
        """Return the outcomes of each class, of all boxes or of one group.

        Of a group, the true boxes of other groups do not count. Of a size, found boxes of another size that match
        nothing do not count, as COCO has it. Of motion and tags, frames without a true box of the group do not count.
        """
        if group not in self._ranked:
            self._ranked[group] = [Ranked(self._outcomes(number, group)) for number in range(len(self.labels))]
        return self._ranked[group]

    def average_precision(self, group: Group | None = None, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the mean average precision at each of `matching.THRESHOLDS`, (10,) float64; NaN without true boxes."""
        return average_precision(self.classes(group), weights)

    def boxes(self, group: Group | None = None) -> int:
        """Return how many true boxes count."""
        return sum(int(ranked.positives.sum()) for ranked in self.classes(group))

    def flicker(self, clips: Iterable[int] | None = None) -> Flicker:
        """Return how often tracks are lost and found again, at the decision's threshold. clips: their numbers."""
        chosen = range(len(self.clips)) if clips is None else clips
        return total(part for number in chosen for part in self._tracks(number))

    def errors(self) -> list[Frame]:
        """Return the errors of each frame, at the decision's threshold."""
        made = []
        for number, clip in enumerate(self.clips):
            for frame, (predicted, truth) in enumerate(_frames(clip)):
                shown, matched = np.asarray(predicted.scores) >= self.threshold, set()
                false = 0
                for match in self._matches[number][frame]:
                    taken = match.truth[0][shown[match.found]]
                    false += int((taken < 0).sum())
                    matched |= set(taken[taken >= 0].tolist())
                missed = set(np.flatnonzero(~truth.ignored).tolist()) - matched
                made.append(Frame(number, frame, len(missed), false))
        return made

    def _tracks(self, number: int) -> list[Flicker]:
        flags: dict[int, list[bool]] = {}
        clip = self.clips[number]
        for frame, (predicted, truth) in enumerate(_frames(clip)):
            matched: set[int] = set()
            for match in self._matches[number][frame]:
                shown = np.asarray(predicted.scores)[match.found] >= self.threshold
                matched |= set(match.truth[0][shown].tolist())
            for row, (track, ignored) in enumerate(zip(truth.tracks.tolist(), truth.ignored.tolist(), strict=True)):
                if track >= 0 and not ignored:
                    flags.setdefault(track, []).append(row in matched)
        return [of_track(found) for found in flags.values()]

    def _outcomes(self, class_id: int, group: Group | None) -> Outcomes:
        levels, scores, true, ignored, clips = len(THRESHOLDS), [], [], [], []
        positives, frames = np.zeros(len(self.clips), np.int64), np.zeros(len(self.clips), np.int64)
        for number, clip in enumerate(self.clips):
            for frame, (predicted, truth) in enumerate(_frames(clip)):
                match, counted = self._matches[number][frame][class_id], ~truth.ignored
                if group is not None:
                    inside = self._members[number].of(group, frame)
                    counted = counted & inside
                    if group.least is None and not counted.any():
                        continue
                    if not inside.all():
                        match = match_frame(predicted, truth, class_id, ~inside)
                frames[number] += 1
                positives[number] += int((counted & (truth.classes == class_id)).sum())
                if len(match.found):
                    scores.append(np.asarray(predicted.scores, np.float64)[match.found])
                    left_out = match.ignored | _other_size(match, predicted, group, clip.size)
                    true.append((match.truth >= 0) & ~left_out)
                    ignored.append(left_out)
                    clips.append(np.full(len(match.found), number))
        return Outcomes(
            np.concatenate(scores) if scores else np.zeros(0),
            np.concatenate(true, 1) if true else np.zeros((levels, 0), bool),
            np.concatenate(ignored, 1) if ignored else np.zeros((levels, 0), bool),
            np.concatenate(clips) if clips else np.zeros(0, np.int64),
            positives,
            frames,
        )


def figures(scores: Scores, repeats: int, seed: int = 0) -> dict[str, Any]:
    """Return all figures of a detector as plain values, see docs/detection.md."""
    weights, classes = draws(len(scores.clips), repeats, seed), scores.classes()
    flicker, single = scores.flicker(), [average_precision([ranked]) for ranked in classes]
    return {
        "clips": len(scores.clips),
        "frames": sum(len(clip.truths) for clip in scores.clips),
        "boxes": scores.boxes(),
        "ap50": _plain(estimate(lambda draw: ap50(scores, None, draw), weights)),
        "ap50_95": _plain(estimate(lambda draw: float(scores.average_precision(None, draw).mean()), weights)),
        "per_class": [
            {
                "label": label,
                "boxes": int(ranked.positives.sum()),
                "ap50": _number(values[0]),
                "ap50_95": _number(values.mean()),
            }
            for label, ranked, values in zip(scores.labels, classes, single, strict=True)
        ],
        "groups": [_group_figures(scores, group, weights) for group in scores.groups if scores.boxes(group)],
        "at_threshold": at_threshold(classes, scores.threshold)._asdict(),
        "at_false_rates": [{"rate": rate, **_at_rate(scores, rate, weights)} for rate in FALSE_RATES],
        "flicker": {**flicker._asdict(), "per_100_frames": flicker.per_100_frames},
    }


def differences(first: Scores, second: Scores, repeats: int, seed: int = 0) -> dict[str, Any]:
    """Return the figures of the first detector less those of the second on the same clips, with paired intervals.

    Raises ValueError for other clips or labels.
    """
    names = [[(clip.name, len(clip.truths)) for clip in scores.clips] for scores in (first, second)]
    if names[0] != names[1] or first.labels != second.labels:
        raise ValueError("the two detectors saw other clips")
    weights = draws(len(first.clips), repeats, seed)

    def of(group: Group | None) -> dict[str, Any]:
        return _plain(difference(lambda w: ap50(first, group, w), lambda w: ap50(second, group, w), weights))

    def mean(scores: Scores, draw: np.ndarray) -> float:
        return float(scores.average_precision(None, draw).mean())

    def recall(scores: Scores, draw: np.ndarray) -> float:
        found = at_threshold(scores.classes(), scores.threshold, draw).recall
        return np.nan if found is None else found

    rates = [(scores.flicker().per_100_frames) for scores in (first, second)]
    return {
        "ap50": of(None),
        "ap50_95": _plain(difference(lambda w: mean(first, w), lambda w: mean(second, w), weights)),
        "recall": _plain(difference(lambda w: recall(first, w), lambda w: recall(second, w), weights)),
        "groups": [
            {"kind": group.kind, "name": group.name, "boxes": first.boxes(group), "ap50": of(group)}
            for group in first.groups
            if first.boxes(group)
        ],
        "flicker_per_100_frames": None if None in rates else float(rates[0] or 0) - float(rates[1] or 0),
    }


def ap50(scores: Scores, group: Group | None = None, weights: np.ndarray | None = None) -> float:
    """Return the mean average precision at a least overlap of 0.5, 0 to 1; NaN without true boxes."""
    return float(average_precision(scores.classes(group), weights, levels=1)[0])


def _group_figures(scores: Scores, group: Group, weights: np.ndarray) -> dict[str, Any]:
    found: Operating = at_threshold(scores.classes(group), scores.threshold)
    return {
        "kind": group.kind,
        "name": group.name,
        "boxes": scores.boxes(group),
        "ap50": _plain(estimate(lambda draw: ap50(scores, group, draw), weights)),
        "recall": found.recall,
    }


def _at_rate(scores: Scores, rate: float, weights: np.ndarray) -> dict[str, Any]:
    def recall(draw: np.ndarray) -> float:
        found = at_false_rate(scores.classes(), rate, draw).recall
        return np.nan if found is None else found

    return {**at_false_rate(scores.classes(), rate)._asdict(), "recall": _plain(estimate(recall, weights))}


def _other_size(match: FrameMatch, predicted: Predicted, group: Group | None, size: tuple[int, int]) -> np.ndarray:
    """Return which found boxes match nothing and lie outside of a group of sizes: (T, n) bool."""
    if group is None or group.least is None or group.most is None:
        return np.zeros(match.truth.shape, bool)
    share = areas(np.asarray(predicted.boxes)[match.found], size)
    return (match.truth < 0) & ((share < group.least) | (share >= group.most))[None]


def _frames(clip: ClipResult) -> Iterable[tuple[Predicted, Truth]]:
    return zip(clip.found, clip.truths, strict=True)


def _plain(found: Estimate) -> dict[str, Any]:
    return dict(found._asdict())


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
