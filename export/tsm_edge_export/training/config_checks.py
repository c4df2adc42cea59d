"""Which values a training configuration may have."""

import re

from tsm_edge.errors import InputError
from tsm_edge.manifest import DIRECTIONS

KINDS = ("frames", "folders", "segments", "synthetic")
SAMPLINGS = ("uniform", "dense")
OPTIMISERS = ("sgd", "adamw")
SCHEDULES = ("cosine", "step")
BATCH_NORMS = ("train", "partial", "frozen")
DEVICES = ("auto", "cpu", "cuda")


def check(config, where):
    """Raise InputError for a value that no training can have. where: the file, for messages."""
    need, c = _needs(where), config
    for name, value, allowed in (
        ("direction", c.direction, DIRECTIONS),
        ("data.kind", c.data.kind, KINDS),
        ("sampling.kind", c.sampling.kind, SAMPLINGS),
        ("optimiser.name", c.optimiser.name, OPTIMISERS),
        ("schedule.kind", c.schedule.kind, SCHEDULES),
        ("regular.batch_norm", c.regular.batch_norm, BATCH_NORMS),
        ("run.device", c.run.device, DEVICES),
    ):
        need(value in allowed, name, repr(value), "one of " + ", ".join(allowed))
    for name, value in (
        ("batch", c.batch),
        ("shift.n_segment", c.shift.n_segment),
        ("schedule.epochs", c.schedule.epochs),
        ("sampling.span", c.sampling.span),
        ("data.synthetic.train", c.data.synthetic.train),
        ("data.synthetic.test", c.data.synthetic.test),
    ):
        need(value >= 1, name, value, "at least 1")
    for name, value in (
        ("seed", c.seed),
        ("data.synthetic.seed", c.data.synthetic.seed),
        ("data.synthetic.windows", c.data.synthetic.windows),
        ("run.workers", c.run.workers),
        ("run.save_steps", c.run.save_steps),
        ("optimiser.weight_decay", c.optimiser.weight_decay),
        ("optimiser.head_rate", c.optimiser.head_rate),
        ("schedule.warmup", c.schedule.warmup),
    ):
        need(value >= 0, name, value, "at least 0")
    _check_training(c, need)
    _check_data(c, need)


def _check_training(c, need):
    need(c.optimiser.rate > 0, "optimiser.rate", c.optimiser.rate, "above 0")
    clip = c.optimiser.clip_gradient
    need(clip is None or clip > 0, "optimiser.clip_gradient", clip, "above 0; leave it out for no limit")
    for name, value in (
        ("optimiser.momentum", c.optimiser.momentum),
        ("loss.label_smoothing", c.loss.label_smoothing),
        ("regular.dropout", c.regular.dropout),
        ("regular.ema", c.regular.ema),
    ):
        need(0 <= value < 1, name, value, "from 0 to below 1")
    need(0 <= c.loss.running <= 1, "loss.running", c.loss.running, "from 0 to 1")
    need(
        not c.loss.running or c.direction == "causal",
        "loss.running",
        f"{c.loss.running} with direction {c.direction!r}",
        "0: only a causal network answers before the clip has ended",
    )
    schedule = c.schedule
    need(schedule.warmup < schedule.epochs, "schedule.warmup", schedule.warmup, f"below {schedule.epochs} epochs")
    need(bool(schedule.steps) == (schedule.kind == "step"), "schedule.steps", list(schedule.steps), 'some for "step"')
    need(sorted(schedule.steps) == list(schedule.steps), "schedule.steps", list(schedule.steps), "epochs in order")
    need(not (c.loss.balanced and c.loss.class_weights), "loss", "balanced and class_weights", "one of them")
    need(all(w > 0 for w in c.loss.class_weights), "loss.class_weights", list(c.loss.class_weights), "all above 0")


def _check_data(c, need):
    frame, data = c.frame, c.data
    need(min(frame.height, frame.width) >= 32, "frame", (frame.height, frame.width), "a size of at least 32x32")
    need(frame.short_side >= max(frame.height, frame.width), "frame.short_side", frame.short_side, "at least the crop")
    need(frame.colour in ("RGB", "BGR"), "frame.colour", repr(frame.colour), "RGB or BGR")
    need(all(value > 0 for value in frame.std), "frame.std", frame.std, "all above 0")
    need(all(0.1 <= scale <= 1 for scale in c.augment.scales), "augment.scales", c.augment.scales, "from 0.1 to 1")
    need(len(c.augment.scales) > 0, "augment.scales", "none", "at least one; [1.0] for the whole height")
    need(
        c.sampling.kind != "dense" or c.shift.n_segment <= c.sampling.span,
        "shift.n_segment",
        c.shift.n_segment,
        f"at most {c.sampling.span} (sampling.span) for dense clips",
    )
    need(not data.synthetic.windows or c.direction == "causal", "data.synthetic.windows", c.direction, "a causal model")
    need(not data.synthetic.windows or c.fps, "fps", c.fps, "the rate of the frames in data.synthetic.windows")
    for name, value in (("data.train", data.train), ("data.test", data.test)):
        need((value is None) == (data.kind == "synthetic"), name, repr(value), f"what data.kind {data.kind!r} reads")
    need(data.template is None or data.kind == "frames", "data.template", repr(data.template), 'kind "frames"')
    if data.template is not None:
        need(_is_template(data.template), "data.template", repr(data.template), 'one number, as in "img_{:05d}.jpg"')
    need(not (c.labels and data.labels_file), "labels", "both labels and data.labels_file", "one of them")
    need(c.labels is None or len(set(c.labels)) == len(c.labels), "labels", "a label twice", "labels that differ")


def _is_template(template):
    return len(re.findall(r"\{:0?\d*d\}", template)) == 1 and template.count("{") == template.count("}") == 1


def _needs(where):
    def need(condition, name, got, expected):
        if not condition:
            raise InputError(f"{where}: {name}", got, expected, "correct the configuration")

    return need
