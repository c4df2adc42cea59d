"""The result of a clip evaluation: what every clip gave, and the figures that follow from it alone."""

import json
from typing import Any, Dict, NamedTuple, Optional, Tuple

import numpy as np

from tsm_edge.errors import InputError
from tsm_edge.schema import decode, encode

FORMAT, KIND = 1, "clips"


class Row(NamedTuple):
    """What one clip gave. index: its place in the list. logits: one a class, float32 in its shortest decimals.

    seen: the class predicted after 1, 2, … frames, of an online model.
    """

    index: int
    name: str
    label: int
    logits: Tuple[float, ...]
    seen: Optional[Tuple[int, ...]]

    @property
    def predicted(self):
        """The class of the highest logit, of equals the first, as tsm_edge.heads.classification has it."""
        return int(np.argmax(self.logits))

    @property
    def rank(self):
        """How many classes come before the true one: 0 where it is the predicted one."""
        return int(np.flatnonzero(np.argsort(-np.array(self.logits), kind="stable") == self.label)[0])


class Shard(NamedTuple):
    """Clips number - 1, number - 1 + of, … of the list; 1 of 1 is all of it."""

    number: int
    of: int


class ClipReport(NamedTuple):
    """A clip evaluation, or one shard of it.

    model: engines.identity. list: {"name", "sha256", "clips", "total" (those broken before included)}. labels: one name
    a class. settings: a clips.Settings as plain values. environments: engines.environment of each that took part.
    broken: name of a clip -> reason. rows: in the order of the list.
    """

    model: Dict[str, Any]
    list: Dict[str, Any]
    labels: Tuple[str, ...]
    settings: Dict[str, Any]
    environments: Tuple[Dict[str, Any], ...]
    shard: Shard
    broken: Dict[str, Any]
    rows: Tuple[Row, ...]

    @property
    def figures(self) -> dict:
        """{"clips", "top1", "top5", "mean_class", "per_class", "confusion", "seen"}, see docs/evaluation.md."""
        confusion, ranks = self.confusion, [row.rank for row in self.rows]
        counts, right = confusion.sum(1).tolist(), confusion.diagonal().tolist()
        shares = [_share(hit, count) for hit, count in zip(right, counts, strict=True)]
        known = [share for share in shares if share is not None]
        most = min(5, len(self.labels))
        return {
            "clips": len(self.rows),
            "top1": _count(sum(rank < 1 for rank in ranks), len(ranks)),
            "top5": {"of": most, **_count(sum(rank < most for rank in ranks), len(ranks))},
            "mean_class": sum(known) / len(known) if known else None,
            "per_class": [
                {"label": label, "clips": count, "right": hit, "share": share}
                for label, count, hit, share in zip(self.labels, counts, right, shares, strict=True)
            ],
            "confusion": confusion.tolist(),
            "seen": self._seen(),
        }

    @property
    def top1(self) -> Optional[float]:
        """Share of the clips whose highest logit is the true class, 0 to 1."""
        return self.figures["top1"]["share"]

    @property
    def confusion(self) -> np.ndarray:
        """(classes, classes) int64: clips of the row's class that were predicted as the column's."""
        matrix = np.zeros((len(self.labels), len(self.labels)), np.int64)
        for row in self.rows:
            matrix[row.label, row.predicted] += 1
        return matrix

    def _seen(self):
        if not self.rows or self.rows[0].seen is None:
            return None
        right = np.array([[best == row.label for best in row.seen] for row in self.rows]).sum(0).tolist()
        return [{"frames": frames, **_count(hit, len(self.rows))} for frames, hit in enumerate(right, 1)]


def to_json(report) -> str:
    """The report with its figures, every clip on a line of its own."""
    values = encode(report)
    rows = values.pop("rows")
    head = json.dumps({"kind": KIND, "format": FORMAT, **values, "figures": report.figures}, indent=1)
    return head[: -len("\n}")] + ',\n "rows": [\n  ' + ",\n  ".join(json.dumps(row) for row in rows) + "\n ]\n}\n"


def from_json(text, where) -> ClipReport:
    """Read `to_json` back. The figures in it are not believed: they follow from the rows. where: for messages.

    Raises InputError for damaged or foreign JSON, another format, and rows that contradict the rest.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(where, f"damaged JSON ({error})", "a report of tsm-edge eval", _DO) from None
    if not isinstance(values, dict) or (values.get("kind"), values.get("format")) != (KIND, FORMAT):
        raise InputError(where, "something else", f"a clip report of tsm-edge eval, format {FORMAT}", _DO)
    fields = {key: value for key, value in values.items() if key not in ("kind", "format", "figures")}
    environments = fields.pop("environments", None)
    try:
        report = decode(_Fields, fields, str(where))
    except InputError as error:
        raise InputError(error.where, error.got, error.expected, _DO) from None
    if not (isinstance(environments, list) and all(isinstance(one, dict) for one in environments)):
        raise InputError(f"{where} environments", repr(environments)[:80], "a list of objects", _DO)
    report = ClipReport(**{**report._asdict(), "environments": tuple(environments)})
    _check(report, where)
    return report


_DO = "evaluate again"
# decode() knows no tuple of dicts, so these are read apart.
_Fields = NamedTuple("_Fields", [(n, t) for n, t in ClipReport.__annotations__.items() if n != "environments"])


def _check(report, where):
    classes, shard = len(report.labels), report.shard
    if not all(isinstance(report.list.get(key), int) for key in ("clips", "total")):
        raise InputError(f"{where} list", report.list, "its numbers of clips", _DO)
    places = [row.index for row in report.rows]
    frames = {None if row.seen is None else len(row.seen) for row in report.rows}
    right = (
        bool(report.rows or shard.of > 1)
        and classes
        and 1 <= shard.number <= shard.of
        and places == sorted(set(places))
        and all(place % shard.of == shard.number - 1 for place in places)
        and all(0 <= place < report.list["clips"] for place in places)
        and all(len(row.logits) == classes and 0 <= row.label < classes for row in report.rows)
        and len(frames) <= 1
    )
    if not right:
        raise InputError(f"{where} rows", "rows that contradict each other or the rest", "those that were written", _DO)


def _count(right, clips):
    return {"right": right, "share": _share(right, clips)}


def _share(right, count):
    return right / count if count else None
