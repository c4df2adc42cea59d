"""Times functions that take turns (A B, B A, A B, ...), so that a noisy moment affects all of them alike."""

import time
from typing import Callable, List, Optional, Sequence

MIN_ROUNDS = 5
WARM_UP_ROUNDS = 2
CALLS = 3  # a turn


def time_interleaved(
    functions: Sequence[Callable[[], object]], seconds: float, rounds: Optional[int] = None, calls: int = CALLS
) -> List[List[float]]:
    """Return the seconds that a call takes: a list for each function, with the mean of `calls` calls for each round.

    Measures `rounds` rounds, or for `seconds` (MIN_ROUNDS at least) where `rounds` is None. Every second round goes
    backwards, so that no function always runs after the same one.
    """
    times: List[List[float]] = [[] for _ in functions]
    least, until = MIN_ROUNDS if rounds is None else rounds, 0.0
    number = -WARM_UP_ROUNDS
    while number < least or (rounds is None and time.perf_counter() < until):
        if number == 0:
            until = time.perf_counter() + seconds
        for index in range(len(functions))[:: 1 if number % 2 == 0 else -1]:
            begun = time.perf_counter()
            for _ in range(calls):
                functions[index]()
            if number >= 0:
                times[index].append((time.perf_counter() - begun) / calls)
        number += 1
    return times
