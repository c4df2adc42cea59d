"""Which clips are trained on and which measure the accuracy: recording sessions stay whole."""

import random
from collections.abc import Sequence
from typing import NamedTuple

SHARE = 0.2  # of each label's clips that validate
MOST_SHARE = 0.5
MAX_TRIES, MAX_STEPS = 400, 1_000_000  # random orders of the sessions; additions in all of them together
NONE_COST = 9.0  # of a label without validation clips; one with half of its clips costs 2.25


class Split(NamedTuple):
    """Places of clips, in order. sessions: those whose clips all validate; empty for a split within the sessions."""

    train: list[int]
    validation: list[int]
    sessions: tuple[str, ...]

    @property
    def is_by_session(self) -> bool:
        """Whether no session has clips on both sides."""
        return bool(self.sessions)


def split(labels: Sequence[int], sessions: Sequence[str], seed: int = 0) -> Split:
    """Split clips into training and validation.

    Whole sessions validate: about a fifth of the clips of each label. So the accuracy is that of recordings that were
    never trained on. Each label keeps at least half of its clips for training and validates with at least one. Where
    no choice of sessions does that, the last fifth of each label's clips validates.

    Args:
        labels: the label's number of each clip, at least two clips of each.
        sessions: the session of each clip.
        seed: of the random choice among sessions that serve equally well.
    """
    chosen = _sessions(labels, sessions, seed)
    if chosen is None:
        validation = set(_last_of_each(labels))
    else:
        validation = {place for place, session in enumerate(sessions) if session in chosen}
    train = [place for place in range(len(labels)) if place not in validation]
    return Split(train, sorted(validation), tuple(sorted(chosen or ())))


def _sessions(labels: Sequence[int], sessions: Sequence[str], seed: int) -> set[str] | None:
    """Return the sessions that validate, None where none can."""
    totals = _counts(labels)
    of_session: dict[str, dict[int, int]] = {}
    for label, session in zip(labels, sessions, strict=True):
        counts = of_session.setdefault(session, {})
        counts[label] = counts.get(label, 0) + 1
    if len(of_session) < 2:
        return None
    rng, best, best_cost = random.Random(seed), None, float("inf")
    for _ in range(max(1, min(MAX_TRIES, MAX_STEPS // (len(of_session) * len(totals))))):
        order = rng.sample(sorted(of_session), len(of_session))
        taken, counts = set(), dict.fromkeys(totals, 0)
        cost = _cost(counts, totals)
        for session in order:
            more = {label: counts[label] + of_session[session].get(label, 0) for label in totals}
            if all(more[label] <= MOST_SHARE * totals[label] for label in totals) and _cost(more, totals) < cost:
                counts, cost = more, _cost(more, totals)
                taken.add(session)
        if cost < best_cost and all(counts.values()):
            best, best_cost = taken, cost
    return best


def _counts(labels: Sequence[int]) -> dict[int, int]:
    totals: dict[int, int] = {}
    for label in labels:
        totals[label] = totals.get(label, 0) + 1
    return totals


def _cost(counts: dict[int, int], totals: dict[int, int]) -> float:
    """Return how far the validation clips of the labels are from their share."""
    cost = 0.0
    for label, total in totals.items():
        wanted = max(1.0, SHARE * total)
        cost += ((counts[label] - wanted) / wanted) ** 2 if counts[label] else NONE_COST
    return cost


def _last_of_each(labels: Sequence[int]) -> list[int]:
    places: dict[int, list[int]] = {}
    for place, label in enumerate(labels):
        places.setdefault(label, []).append(place)
    return [place for own in places.values() for place in own[-max(1, round(SHARE * len(own))) :]]
