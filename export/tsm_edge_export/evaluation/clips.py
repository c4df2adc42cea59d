"""`evaluate_clips`: a model over the clips of a list."""

from typing import Any, Iterable, Iterator, NamedTuple, Optional

import numpy as np
import torch
from tqdm import tqdm

from tsm_edge.engines.base import Engine
from tsm_edge.errors import InputError
from tsm_edge.schema import encode
from tsm_edge_export.torch_engine import TorchEngine
from tsm_edge_export.training.broken import Broken
from tsm_edge_export.training.clips import Clip
from tsm_edge_export.training.config import Sampling, Speed
from tsm_edge_export.training.dataset import Batch, EvalSet, loader, normalised
from tsm_edge_export.training.predict import predict

from .data import EvalData
from .engines import environment, identity, require_classifier
from .report import ClipReport, Row, Shard

UNIFORM = Sampling("uniform", 64)
_SPEED = Speed(amp=False, channels_last=True)


class Settings(NamedTuple):
    """Which views of a clip are averaged: clips x crops, and each of them mirrored as well where `flips`."""

    sampling: Sampling = UNIFORM
    clips: int = 1  # see training.sampling.eval_indices: uniform 1 or 2, dense any number
    crops: int = 1  # 1, the centre, as the device sees it; or 3, see training.crops.eval_crops
    flips: bool = False


def evaluate_clips(
    engine: Engine,
    data: EvalData,
    settings: Optional[Settings] = None,
    shard: tuple[int, int] = (1, 1),
    workers: int = 0,
    progress: bool = False,
) -> ClipReport:
    """Run a classifier over clips.

    A clip's logits are the mean over its views and frames: the published consensus. An online engine takes each view
    frame by frame from a fresh state, a checkpoint at once. Clips run one at a time, so that no shard changes a bit.

    settings: None takes the data's sampling, one clip and one crop. shard: (i, n) evaluates clips i - 1, i - 1 + n, …;
    merge.merge joins the n reports. workers: processes that read clips. progress: show a bar on standard error.
    Raises InputError for settings or labels that do not fit, and for more than 1 % of broken clips.
    """
    settings = settings or Settings(data.sampling or UNIFORM)
    require_classifier(engine)
    _check(engine, data, settings, shard)
    manifest, flips = engine.manifest, data.flips if settings.flips else None
    chosen = range(shard[0] - 1, len(data.clips), shard[1])
    view = settings.sampling, settings.clips, settings.crops
    views = EvalSet(data.clips, manifest.frame, manifest.shift.n_segment, *view)
    batches = loader(views, [[(0, index)] for index in chosen], workers)
    rows, broken = [], Broken(data.broken.total, data.broken.reasons)
    results = _logits(engine, _mirrored(batches, flips))
    for batch, logits in tqdm(results, total=len(chosen), unit="clip", disable=None if progress else True):
        for name, reason in batch.broken:
            broken.add(name, reason)
        if logits is not None:
            index = batch.indices[0]
            rows.append(_row(index, data.clips[index], _turned_back(logits, flips), manifest.mode == "online"))
    if not rows and shard[1] == 1:
        raise InputError(data.name, "no clip that can be read", "whole clips", "mend the list")
    listed = {"name": data.name, "sha256": data.sha256, "clips": len(data.clips), "total": data.broken.total}
    return ClipReport(
        model=identity(engine),
        list=listed,
        labels=manifest.labels,
        settings=encode(settings),
        environments=(environment(engine),),
        shard=Shard(*shard),
        broken=dict(sorted(broken.reasons.items())),
        rows=tuple(rows),
    )


def _frame_logits(engine: Engine, x: np.ndarray) -> np.ndarray:
    """Run one clip (T, 3, H, W) float32 through an engine.

    Returns (T, classes) float32, each frame's, of an online engine; (1, classes), their mean, of an offline one.
    """
    if engine.manifest.mode == "offline":
        return engine.clip(np.ascontiguousarray(x[None]))["logits"]
    state = engine.new_state()
    return np.concatenate([engine.step(np.ascontiguousarray(frame[None]), state)["logits"] for frame in x])


def _logits(engine: Engine, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Optional[np.ndarray]]]:
    """Yield (batch of one clip, (V, T, classes) float32), as predict.predict does, for any engine."""
    manifest = engine.manifest
    if isinstance(engine, TorchEngine):
        direction = manifest.shift.direction
        for batch, logits in predict(engine.network, batches, direction, manifest.frame, _SPEED, engine.device):
            if logits is not None and not logits.isfinite().all():
                where = f"{engine.where}: logits of clip number {batch.indices[0]}"
                raise InputError(where, "NaN or infinity", "finite numbers", "check the weights")
            yield batch, None if logits is None else logits[0].numpy()
        return
    for batch in batches:
        if batch.frames is None:
            yield batch, None
            continue
        views = normalised(batch.frames[0], manifest.frame).numpy()
        yield batch, np.stack([_frame_logits(engine, view) for view in views])


def _mirrored(batches: Iterable[Batch], flips: Optional[list[int]]) -> Iterator[Batch]:
    """Add to the views of each batch the same once more, mirrored, where `flips` is not None."""
    for batch in batches:
        if flips is not None and batch.frames is not None:
            batch = batch._replace(frames=torch.cat([batch.frames, batch.frames.flip(4)], 1))
        yield batch


def _turned_back(logits: np.ndarray, flips: Optional[list[int]]) -> np.ndarray:
    """Return the logits of mirrored views as those of the clip itself: its class c shows there as class flips[c]."""
    if flips is None:
        return logits
    half = len(logits) // 2
    return np.concatenate([logits[:half], logits[half:, :, flips]])


def _row(index: int, clip: Clip, logits: np.ndarray, online: bool) -> Row:
    """Make the row of a clip of logits (V, T, classes) float32. Sums are taken in float64, as the head does."""
    frames = logits.astype(np.float64).mean(0)
    running = (np.cumsum(frames, 0) / np.arange(1, len(frames) + 1)[:, None]).astype(np.float32)
    # The shortest decimals that give these float32 back: JSON keeps every bit.
    scores = tuple(float(str(value)) for value in running[-1])
    seen = tuple(int(best) for best in running.argmax(1)) if online else None
    return Row(index, clip.name, int(clip.label), scores, seen)


def _check(engine: Engine, data: EvalData, settings: Settings, shard: tuple[int, int]) -> None:
    labels, n_segment = engine.manifest.labels, engine.manifest.shift.n_segment
    kind, span = settings.sampling
    if tuple(data.labels) != tuple(labels):
        pairs = zip(data.labels, labels, strict=False)
        differ = (f"{a!r} in the place of {b!r}" for a, b in pairs if a != b)
        got = next(differ, f"{len(data.labels)} labels")
        raise InputError(f"{data.name}: labels", got, f"the {len(labels)} of {engine.where}", "give data of its labels")
    number, of = shard
    clips = "1 or 2 uniform ones; 1 to 1000 with --sampling dense"
    needs: list[tuple[bool, str, Any, str]] = [
        (kind in ("uniform", "whole", "dense"), "--sampling", kind, "uniform or dense"),
        (1 <= settings.clips <= 1000 and (kind == "dense" or settings.clips <= 2), "--clips", settings.clips, clips),
        (settings.crops in (1, 3), "--crops", settings.crops, "1 or 3"),
        (
            settings.crops == 1 or engine.manifest.frame.crop == "center",
            "--crops",
            settings.crops,
            "1: the model sees whole frames",
        ),
        (1 <= number <= of, "--shard", f"{number}/{of}", "I/N with 1 <= I <= N"),
        (number <= len(data.clips), "--shard", f"{number}/{of}", f"at most {len(data.clips)} (clips)"),
        (kind != "dense" or n_segment <= span, "--span", span, f"at least {n_segment}, the frames of the model"),
    ]
    for holds, name, wrong, expected in needs:
        if not holds:
            raise InputError(name, wrong, expected, "correct it")
    if settings.flips and data.flips is None:
        got, expected = "labels without a word on what they flip into", "a configuration whose [augment] lets them flip"
        raise InputError("--flips", got, expected, "name the pairs in its augment.flip_map, and give it with --config")
