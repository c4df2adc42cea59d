"""Broken clips: they are named, left out and counted, until there are too many."""

from collections.abc import Mapping

from tsm_edge.errors import InputError

MOST_BROKEN = 0.01  # of all clips, unless a configuration allows more


class Broken:
    """The broken clips among `total` ones. reasons: name of a clip -> what is wrong with it, in order of discovery.

    most: the share of broken clips, 0 to 1, from which `add` raises.
    """

    def __init__(self, total: int, reasons: Mapping[str, str] | None = None, most: float = MOST_BROKEN) -> None:
        self.total, self.reasons, self.most = total, dict(reasons or {}), most

    def add(self, name: str, reason: object) -> bool:
        """Note a broken clip. Return whether it is a new one. Raises InputError for too many of all clips."""
        if name in self.reasons:
            return False
        self.reasons[name] = " ".join(str(reason).split())
        if len(self.reasons) > self.most * self.total:
            where = f"{len(self.reasons)} of {self.total} clips are broken"
            got = "; ".join(f"{broken}: {why}" for broken, why in list(self.reasons.items())[-5:])
            do = "mend these clips, or take them out of the list"
            raise InputError(where, got, f"at most {100 * self.most:g} %", do)
        return True
