"""Broken clips: they are named, left out and counted, until there are too many."""

from collections.abc import Mapping

from tsm_edge.errors import InputError

LIMIT = 0.01  # of all clips


class Broken:
    """The broken clips among `total` ones. reasons: name of a clip -> what is wrong with it, in order of discovery."""

    def __init__(self, total: int, reasons: Mapping[str, str] | None = None) -> None:
        self.total, self.reasons = total, dict(reasons or {})

    def add(self, name: str, reason: object) -> bool:
        """Note a broken clip. Return whether it is a new one. Raises InputError for more than 1 % of all clips."""
        if name in self.reasons:
            return False
        self.reasons[name] = " ".join(str(reason).split())
        if len(self.reasons) > LIMIT * self.total:
            where = f"{len(self.reasons)} of {self.total} clips are broken"
            got = "; ".join(f"{broken}: {why}" for broken, why in list(self.reasons.items())[-5:])
            raise InputError(where, got, "at most 1 %", "mend these clips, or take them out of the list")
        return True
