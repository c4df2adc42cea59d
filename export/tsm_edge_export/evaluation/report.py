"""The result of a clip evaluation: the logits of every clip, and the figures that follow from them alone."""

import json
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional, Tuple, Union

import numpy as np

from tsm_edge.errors import InputError
from tsm_edge.schema import decode, encode

FORMAT, KIND = 1, "clips"
_DO = "evaluate again"


class Row(NamedTuple):
    """The result of one clip."""

    index: int  # type: ignore[assignment]  # its place in the list
    name: str
    label: int
    logits: Tuple[float, ...]  # one a class, float32 in its shortest decimals
    seen: Optional[Tuple[int, ...]]  # the class predicted after 1, 2, … frames, of an online model

    @property
    def predicted(self) -> int:
        """The class of the highest logit, of equals the first, as tsm_edge.heads.classification has it."""
        return int(np.argmax(self.logits))

    @property
    def rank(self) -> int:
        """The number of classes that come before the true one: 0 where the prediction is right."""
        return int(np.flatnonzero(np.argsort(-np.array(self.logits), kind="stable") == self.label)[0])


class Shard(NamedTuple):
    """The clips number - 1, number - 1 + of, … of the list; 1 of 1 is all of it."""

    number: int
    of: int


class ClipReport(NamedTuple):
    """A clip evaluation, or one shard of it."""

    model: Dict[str, Any]  # engines.identity
    list: Dict[str, Any]  # {"name", "sha256", "clips", "total" (those broken before included)}
    labels: Tuple[str, ...]  # one name a class
    settings: Dict[str, Any]  # a clips.Settings as plain values
    environments: Tuple[Dict[str, Any], ...]  # engines.environment of each machine that took part
    shard: Shard
    broken: Dict[str, Any]  # name of a clip -> reason
    rows: Tuple[Row, ...]  # in the order of the list

    @property
    def figures(self) -> Dict[str, Any]:
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

    def _seen(self) -> Any:
        if not self.rows or self.rows[0].seen is None:
            return None
        right = np.array([[best == row.label for best in row.seen or ()] for row in self.rows]).sum(0).tolist()
        return [{"frames": frames, **_count(hit, len(self.rows))} for frames, hit in enumerate(right, 1)]


def to_json(report: ClipReport) -> str:
    """Return the report with its figures as JSON, every clip on a line of its own."""
    values = encode(report)
    rows = values.pop("rows")
    head = json.dumps({"kind": KIND, "format": FORMAT, **values, "figures": report.figures}, indent=1)
    return head[: -len("\n}")] + ',\n "rows": [\n  ' + ",\n  ".join(json.dumps(row) for row in rows) + "\n ]\n}\n"


def from_json(text: str, where: Union[str, Path]) -> ClipReport:
    """Read what `to_json` wrote. The figures are computed again from the rows.

    Raises InputError, which names `where`, for damaged or foreign JSON, and for rows that contradict the rest.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(where, f"damaged JSON ({error})", "a report of tsm-edge eval", _DO) from None
    if not isinstance(values, dict) or (values.get("kind"), values.get("format")) != (KIND, FORMAT):
        raise InputError(where, "something else", f"a clip report of tsm-edge eval, format {FORMAT}", _DO)
    fields = {key: value for key, value in values.items() if key not in ("kind", "format", "figures")}
    try:
        report = decode(ClipReport, fields, str(where))
    except InputError as error:
        raise InputError(error.where, error.got, error.expected, _DO) from None
    _check(report, where)
    return report


def _check(report: ClipReport, where: Union[str, Path]) -> None:
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


def _count(right: int, clips: int) -> Dict[str, Any]:
    return {"right": right, "share": _share(right, clips)}


def _share(right: int, count: int) -> Optional[float]:
    return right / count if count else None
