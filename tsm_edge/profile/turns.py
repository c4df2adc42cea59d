"""Sides that take turns, so that a noisy moment hits all of them alike: A B, B A, A B, ..."""

import time

ROUNDS = 5  # at the least
WARM_UP = 2
CALLS = 3  # a turn


def in_turn(sides, seconds, rounds=None, calls=CALLS):
    """Seconds a call: a list for each of `sides` (functions), with one value, the mean of `calls`, a round.

    rounds: how many; None: as many as `seconds` allow, and ROUNDS at the least. Every second round goes backwards, so
    that no side always stands behind the same one.
    """
    times = [[] for _ in sides]
    least, until, turn = ROUNDS if rounds is None else rounds, None, -WARM_UP
    while turn < least or (rounds is None and time.perf_counter() < until):
        if turn == 0:
            until = time.perf_counter() + seconds
        order = range(len(sides)) if turn % 2 == 0 else range(len(sides) - 1, -1, -1)
        for index in order:
            begun = time.perf_counter()
            for _ in range(calls):
                sides[index]()
            if turn >= 0:
                times[index].append((time.perf_counter() - begun) / calls)
        turn += 1
    return times
