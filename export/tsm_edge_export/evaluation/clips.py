"""`evaluate_clips`: a model over the clips of a list."""

from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from tsm_edge.errors import InputError
from tsm_edge.schema import encode
from tsm_edge_export.torch_engine import TorchEngine
from tsm_edge_export.training.broken import Broken
from tsm_edge_export.training.config import Sampling, Speed
from tsm_edge_export.training.dataset import EvalSet, loader, normalised
from tsm_edge_export.training.predict import predict

from .engines import environment, identity
from .report import ClipReport, Row, Shard

UNIFORM = Sampling("uniform", 64)
_SPEED = Speed(amp=False, channels_last=True)


class Settings(NamedTuple):
    """Which views of a clip are averaged: clips x crops, and each of them mirrored as well where `flips`.

    sampling: training.config.Sampling. clips: see training.sampling.eval_indices (uniform 1 or 2, dense any number).
    crops: 1 (the centre, as the device sees it) or 3 (see training.crops.eval_crops).
    """

    sampling: Sampling = UNIFORM
    clips: int = 1
    crops: int = 1
    flips: bool = False


def evaluate_clips(engine, data, settings=None, shard=(1, 1), workers=0, progress=False) -> ClipReport:
    """Run `engine` (see engines.open_engine; online or offline) over `data` (a data.EvalData).

    A clip's logits are the mean over its views and, of a network that gives logits for each frame, over its frames: the
    published consensus. An online engine takes each view frame by frame from a fresh state; a checkpoint takes it at
    once. Clips run one at a time, so that neither shard nor batch changes a bit of their logits.
    settings: None takes the data's sampling, one clip and one crop. shard: (i, n) evaluates clips i - 1, i - 1 + n, …;
    merge.merge puts the n reports together. workers: processes that read clips. progress: a bar on standard error.
    Raises InputError for settings or labels that do not fit, and for more than 1 % of broken clips.
    """
    settings = settings or Settings(data.sampling or UNIFORM)
    _check(engine, data, settings, shard)
    manifest, flips = engine.manifest, data.flips if settings.flips else None
    chosen = range(shard[0] - 1, len(data.clips), shard[1])
    views = EvalSet(
        data.clips, manifest.frame, manifest.shift.n_segment, settings.sampling, settings.clips, settings.crops
    )
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


def frame_logits(engine, x):
    """One clip through an engine. x: (T, 3, H, W) float32.

    Returns (T, classes) float32, each frame's, of an online engine; (1, classes), their mean, of an offline one.
    """
    if engine.manifest.mode == "offline":
        return engine.clip(np.ascontiguousarray(x[None]))
    state = engine.new_state()
    return np.concatenate([engine.step(np.ascontiguousarray(frame[None]), state) for frame in x])


def _logits(engine, batches):
    """As predict.predict, for any engine: yields (batch of one clip, (V, T, classes) float32 or None)."""
    manifest = engine.manifest
    if isinstance(engine, TorchEngine):
        direction = manifest.shift.direction
        for batch, logits in predict(engine.network, batches, direction, manifest.frame, _SPEED, engine.device):
            yield batch, None if logits is None else _finite(logits[0].numpy(), batch, engine)
        return
    for batch in batches:
        if batch.frames is None:
            yield batch, None
            continue
        views = normalised(batch.frames[0], manifest.frame).numpy()
        yield batch, np.stack([frame_logits(engine, view) for view in views])


def _finite(logits, batch, engine):
    if not np.isfinite(logits).all():
        where = f"{engine.where}: logits of clip number {batch.indices[0]}"
        raise InputError(where, "NaN or infinity", "finite numbers", "check the weights")
    return logits


def _mirrored(batches, flips):
    """Add to the views of each batch the same once more, mirrored, where `flips` is not None."""
    for batch in batches:
        if flips is not None and batch.frames is not None:
            batch = batch._replace(frames=torch.cat([batch.frames, batch.frames.flip(4)], 1))
        yield batch


def _turned_back(logits, flips):
    """What mirrored views say of the clip as it is: its class c shows there as class flips[c]."""
    if flips is None:
        return logits
    half = len(logits) // 2
    return np.concatenate([logits[:half], logits[half:, :, flips]])


def _row(index, clip, logits, online):
    """logits: (V, T, classes) float32. Sums are taken in float64, as the classification head does."""
    frames = logits.astype(np.float64).mean(0)
    running = (np.cumsum(frames, 0) / np.arange(1, len(frames) + 1)[:, None]).astype(np.float32)
    # The shortest decimals that give these float32 back: JSON keeps every bit.
    scores = tuple(float(str(value)) for value in running[-1])
    seen = tuple(int(best) for best in running.argmax(1)) if online else None
    return Row(index, clip.name, int(clip.label), scores, seen)


def _check(engine, data, settings, shard):
    labels = engine.manifest.labels
    if tuple(data.labels) != tuple(labels):
        got = next((pair for pair in zip(data.labels, labels, strict=False) if pair[0] != pair[1]), None)
        got = f"{len(data.labels)} labels" if got is None else f"{got[0]!r} in the place of {got[1]!r}"
        raise InputError(f"{data.name}: labels", got, f"the {len(labels)} of {engine.where}", "give data of its labels")
    most = None if settings.sampling.kind == "dense" else 2
    need = [
        (settings.sampling.kind in ("uniform", "dense"), "--sampling", settings.sampling.kind, "uniform or dense"),
        (settings.clips >= 1 and (most is None or settings.clips <= most), "--clips", settings.clips, _CLIPS),
        (settings.crops in (1, 3), "--crops", settings.crops, "1 or 3"),
        (shard[1] >= 1 and 1 <= shard[0] <= shard[1], "--shard", "{}/{}".format(*shard), "I/N with 1 <= I <= N"),
        (shard[0] <= len(data.clips), "--shard", "{}/{}".format(*shard), f"at most {len(data.clips)} (clips)"),
        (
            settings.sampling.kind == "uniform" or engine.manifest.shift.n_segment <= settings.sampling.span,
            "--span",
            settings.sampling.span,
            f"at least {engine.manifest.shift.n_segment}, the frames that the model takes",
        ),
    ]
    for holds, name, got, expected in need:
        if not holds:
            raise InputError(name, got, expected, "correct it")
    if settings.flips and data.flips is None:
        raise InputError(
            "--flips",
            "labels that may have a side, or no word on what they flip into",
            "a configuration whose [augment] lets them flip",
            "name the pairs in its augment.flip_map, and give it with --config",
        )


_CLIPS = "1 or 2 uniform ones; any number from 1 with --sampling dense"
