"""Clips that cannot be used: named, left out and counted, until there are too many."""

from tsm_edge.errors import InputError

LIMIT = 0.01  # of all clips


class Broken:
    """The broken clips of `total`. reasons: name of a clip -> what is wrong with it, in the order of discovery."""

    def __init__(self, total, reasons=None):
        self.total, self.reasons = total, dict(reasons or {})

    def add(self, name, reason):
        """Note a broken clip. Returns whether it is a new one. Raises InputError at more than 1 % of all."""
        if name in self.reasons:
            return False
        self.reasons[name] = " ".join(str(reason).split())
        if len(self.reasons) > LIMIT * self.total:
            raise InputError(
                f"{len(self.reasons)} of {self.total} clips are broken",
                "; ".join(f"{broken}: {why}" for broken, why in list(self.reasons.items())[-5:]),
                "at most 1 %",
                "mend these clips, or take them out of the list",
            )
        return True
