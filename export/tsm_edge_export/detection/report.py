"""The result of a detector on a list, as JSON and as text for a terminal."""

import json
from typing import Any, NamedTuple

from tsm_edge.profile.tables import table
from tsm_edge.sinks.jsonl import plain

from .scoring import Scores, differences, figures

FORMAT, KIND = 1, "boxes"
NAMED = 5  # broken annotations, images and clips that the text names


class DetectionReport(NamedTuple):
    """An evaluation of a detector."""

    model: dict[str, Any]  # engines.identity
    list: dict[str, Any]  # {"name", "sha256" of the true boxes, "clips"}
    labels: tuple[str, ...]
    settings: dict[str, Any]
    environments: tuple[dict[str, Any], ...]  # engines.environment
    broken: dict[str, str]  # what was left out -> why: annotations, images and clips
    clipped: int  # true boxes that reached over the edge of the picture, and were cut there
    scores: Scores
    repeats: int  # of the bootstrap

    def values(self) -> dict[str, Any]:
        """Return the report with its figures and those of each clip as plain values."""
        values = {key: value for key, value in self._asdict().items() if key != "scores"}
        made = {"kind": KIND, "format": FORMAT, **values, "figures": figures(self.scores, self.repeats)}
        return plain({**made, "rows": _rows(self.scores)})


def compared(first: DetectionReport, second: DetectionReport) -> dict[str, Any]:
    """Return the figures of the first model less those of the second, which saw the same clips."""
    return {"model": second.model, **differences(first.scores, second.scores, first.repeats)}


def to_json(values: dict[str, Any]) -> str:
    """Return a report's values as JSON, each clip on a line of its own."""
    head = json.dumps({key: value for key, value in values.items() if key != "rows"}, indent=1)
    rows = ",\n  ".join(json.dumps(row) for row in values["rows"])
    return head[: -len("\n}")] + ',\n "rows": [\n  ' + rows + "\n ]\n}\n"


def to_text(values: dict[str, Any]) -> str:
    """Return a report's values as text."""
    found = values["figures"]
    text = f"{_model(values['model'])} on {values['list']['name']}: "
    text += f"{found['clips']} clips, {found['frames']} frames, {found['boxes']} boxes\n\n"
    rows = [[r["label"], str(r["boxes"]), _percent(r["ap50"]), _percent(r["ap50_95"])] for r in found["per_class"]]
    rows.append(["all", str(found["boxes"]), _percent(found["ap50"]["value"]), _percent(found["ap50_95"]["value"])])
    text += table(("class", "boxes", "AP50", "AP50:95"), rows) + "\n"
    if found["groups"]:
        lines = []
        for group in found["groups"]:
            name = f"{group['kind']} {group['name']}" if group["kind"] in ("motion", "size") else group["name"]
            interval = _interval(group["ap50"])
            lines.append(
                [name, str(group["boxes"]), _percent(group["ap50"]["value"]), interval, _percent(group["recall"])]
            )
        text += table(("group", "boxes", "AP50", "95 % interval", "recall"), lines) + "\n"
    for key, name in (("ap50", "AP50"), ("ap50_95", "AP50:95")):
        text += f"{name} {_percent(found[key]['value'])} (95 % interval {_interval(found[key])})\n"
    shown = found["at_threshold"]
    text += f"at confidence {shown['threshold']:g}: recall {_percent(shown['recall'])}, "
    text += f"precision {_percent(shown['precision'])}, {shown['false_per_frame']:.3f} false boxes a frame\n"
    for at in found["at_false_rates"]:
        score = "none" if at["threshold"] is None else f"{at['threshold']:.2f}"
        text += f"at {at['rate']:g} false boxes a frame: recall {_percent(at['recall']['value'])} "
        text += f"({_interval(at['recall'])}), confidence {score}\n"
    flicker = found["flicker"]
    if flicker["tracks"]:
        share = _percent(flicker["found"] / flicker["frames"])
        text += (
            f"flicker: {flicker['tracks']} tracks were found in {share} of their frames, with {flicker['dropouts']} "
        )
        text += f"dropouts, {flicker['per_100_frames']:.2f} in 100 frames\n"
    text += f"{values['clipped']} true boxes cut at the edge of the picture; {len(values['broken'])} broken left out\n"
    text += "".join(f"  {where}: {why}\n" for where, why in list(values["broken"].items())[:NAMED])
    return text + (_difference(values["against"]) if "against" in values else "")


def _difference(values: dict[str, Any]) -> str:
    named = [("AP50", values["ap50"]), ("AP50:95", values["ap50_95"]), ("recall", values["recall"])]
    for group in values["groups"]:
        name = f"{group['kind']} {group['name']}" if group["kind"] in ("motion", "size") else group["name"]
        named.append((f"AP50, {name}", group["ap50"]))
    rows = [[name, _points(found["value"]), _points_interval(found)] for name, found in named]
    text = f"\nless {_model(values['model'])}, in points\n\n"
    return text + table(("figure", "difference", "95 % interval"), rows)


def _rows(scores: Scores) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"name": clip.name, "frames": len(clip.truths), "boxes": int(sum((~t.ignored).sum() for t in clip.truths))}
        for clip in scores.clips
    ]
    for row in rows:
        row.update(missed=0, false=0)
    for error in scores.errors():
        rows[error.clip]["missed"] += error.missed
        rows[error.clip]["false"] += error.false
    for number, row in enumerate(rows):
        row["dropouts"] = scores.flicker([number]).dropouts
    return rows


def _model(model: dict[str, Any]) -> str:
    text = f"{model['recipe']} ({model['engine']}, {model['direction']})"
    if model["trained_direction"] != model["direction"]:
        text += f", FORCED: trained as {model['trained_direction']}"
    return text if model["trained"] else text + ", untrained: its boxes mean nothing"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _interval(found: dict[str, Any]) -> str:
    return "-" if found["low"] is None else f"{found['low']:.1%} to {found['high']:.1%}"


def _points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.1f}"


def _points_interval(found: dict[str, Any]) -> str:
    return "-" if found["low"] is None else f"{_points(found['low'])} to {_points(found['high'])}"
