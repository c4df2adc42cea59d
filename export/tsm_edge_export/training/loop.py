"""The training loop. Its whole state is a position and tensors, so that a killed run goes on as if it had not been."""

import hashlib
import json
import math
import time
from pathlib import Path

import torch
from tqdm import tqdm

from tsm_edge.errors import InputError
from tsm_edge_export import checkpoints, models

from . import journal, state
from .broken import Broken
from .config import decided
from .dataset import EvalSet, TrainSet, eval_batches, loader, train_batches
from .loss import class_weights, clip_loss, clip_scores, hits
from .optimiser import Average, HeadDropout, build, rate_at, set_rate, train_mode
from .predict import predict, to_input

BEST, LAST, LOG, CURVES = "best.safetensors", "last.safetensors", "log.jsonl", "curves.png"
DRAW_EVERY = 30.0  # seconds


class Trainer:
    """Trains one network by one configuration into one folder.

    network: a tsm_edge_export.models.Network with its start, on `device`; changed in place. data: lists.Data.
    flips: of crops.flip_table. output: an existing folder. begin() or resume(), then run().
    """

    def __init__(self, config, network, data, flips, output, device):
        self.config, self.network, self.data = config, network, data
        self.output, self.device = Path(output), torch.device(device)
        self.amp = config.speed.amp and self.device.type == "cuda"
        if config.speed.channels_last:
            network.to(memory_format=torch.channels_last)
        train_mode(network, config.regular.batch_norm)
        self.optimiser = build(network, config.optimiser)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.amp)
        self.average = Average(network, config.regular.ema) if config.regular.ema else None
        self.dropout = HeadDropout(network, config.regular.dropout, config.seed, self.device)
        weights = class_weights(config.loss, data.train, network.arch.num_classes)
        self.class_weights = None if weights is None else weights.to(self.device)
        self.train_set = TrainSet(data.train, config, flips)
        self.eval_set = EvalSet(data.test, config.frame, config.shift.n_segment, config.sampling)
        self.broken = data.broken
        self.epoch = self.step = 0  # epochs done, and steps of this one
        self.best, self.sums = None, _no_sums()
        self.log = None
        self._drawn = time.monotonic()

    def begin(self, start):
        """Start anew; what an older training left in the folder goes. start: what the log's first line says besides."""
        for name in (state.NAME, BEST, LAST, CURVES):
            (self.output / name).unlink(missing_ok=True)
        self.log = journal.Journal(self.output / LOG)
        self.log.write("start", config=decided(self.config), clips=self._counts(), **start)
        for name, reason in self.broken.reasons.items():
            self.log.write("broken", clip=name, reason=reason)
        if start.get("head") == "kept":  # how good it is before anything is trained, say of a change of direction
            self.log.write("test", epoch=0, **self._evaluate())
        self._save_state()

    def resume(self):
        """Go on from the folder's saved state. Raises InputError where there is none, or where the configuration or
        the lists are others."""
        path = self.output / state.NAME
        saved = state.read(path)
        values = saved.values
        _same_config(values["config"], decided(self.config), path)
        if values["data"] != self._digest():
            raise InputError(path, "other clips", "the lists that it was started with", "put them back, or start anew")
        try:
            self.network.load_state_dict(state.part(saved.tensors, "model"), strict=True)
            state.load_optimiser(self.optimiser, saved.tensors)
            if self.average:
                self.average.state = {n: t.to(self.device) for n, t in state.part(saved.tensors, "average").items()}
        except (RuntimeError, KeyError, ValueError) as error:
            raise InputError(path, f"other tensors ({error})", "those of this network", "start it anew") from None
        self.scaler.load_state_dict(values["scaler"])
        self.epoch, self.step, self.best, self.sums = (values[key] for key in ("epoch", "step", "best", "sums"))
        self.broken = Broken(self.broken.total, {**self.broken.reasons, **values["broken"]})
        self.log = journal.Journal(self.output / LOG, values["log"])
        self.log.write("resume", epoch=self.epoch, step=self.step)

    def run(self):
        """Train to the end. Raises InputError for too many broken clips, a full disk, or a loss that is not finite."""
        while self.epoch < self.config.schedule.epochs:
            self._train_epoch()
            self._end_epoch()
        self.log.write("end", best=self.best, broken=len(self.broken.reasons))
        self._draw()

    def _train_epoch(self):
        config = self.config
        batches = train_batches(len(self.train_set), config.batch, config.seed, self.epoch)
        source = loader(self.train_set, batches[self.step :], config.run.workers, self.device.type == "cuda")
        started, first = time.perf_counter(), self.sums["clips"]
        train_mode(self.network, config.regular.batch_norm)
        with tqdm(total=len(batches), initial=self.step, desc=f"epoch {self.epoch + 1}", disable=None) as bar:
            for batch in source:
                self._note(batch.broken)
                if batch.frames is not None:
                    self._train_step(batch, self.epoch + self.step / len(batches), len(batches))
                self.step += 1
                bar.update()
                if self.sums["clips"]:
                    bar.set_postfix(loss=self.sums["loss"] / self.sums["clips"], refresh=False)
                if config.run.save_steps and self.step % config.run.save_steps == 0 and self.step < len(batches):
                    self._save_state()
        seconds = time.perf_counter() - started
        if not self.sums["clips"]:
            raise InputError("training", "an epoch without a whole clip", "clips", "mend the list")
        self.log.write(
            "train",
            epoch=self.epoch + 1,
            loss=self.sums["loss"] / self.sums["clips"],
            top1=self.sums["right"] / self.sums["clips"],
            rate=self.optimiser.param_groups[0]["lr"],
            clips_per_second=round((self.sums["clips"] - first) / seconds, 2),
        )

    def _train_step(self, batch, moment, steps):
        """moment: epochs done, as a fraction; steps: of an epoch."""
        config, number = self.config, self.epoch * steps + self.step
        set_rate(self.optimiser, rate_at(moment, config.schedule, config.optimiser.rate))
        self.dropout.begin(number)
        labels = batch.labels.to(self.device, non_blocking=True)
        x = to_input(batch.frames[:, 0].to(self.device, non_blocking=True), config.frame, config.speed)
        with torch.autocast(self.device.type, torch.float16, enabled=self.amp):
            logits = self.network.clip(x, config.direction)
        frame_labels = None if batch.frame_labels is None else batch.frame_labels.to(self.device, non_blocking=True)
        loss = clip_loss(logits, labels, config.loss, self.class_weights, frame_labels)
        value = loss.item()
        if not math.isfinite(value):
            raise InputError(
                f"epoch {self.epoch + 1}, step {self.step + 1}",
                f"a loss of {value}",
                "a finite one",
                "lower optimiser.rate, lengthen schedule.warmup, or set optimiser.clip_gradient",
            )
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        if config.optimiser.clip_gradient is not None:
            self.scaler.unscale_(self.optimiser)
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), config.optimiser.clip_gradient)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.average:
            self.average.update(self.network, number)
        self.sums["loss"] += value * len(labels)
        self.sums["right"] += hits(clip_scores(logits.detach(), frame_labels), labels, 1)
        self.sums["clips"] += len(labels)

    def _end_epoch(self):
        """The accuracy, the weights, and last of all the state: a kill in between repeats the epoch's end."""
        figures = self._evaluate()
        self.log.write("test", epoch=self.epoch + 1, **figures)
        shown = self._shown()
        if self.best is None or (figures["top1"], -figures["loss"]) > (self.best["top1"], -self.best["loss"]):
            self.best = {"epoch": self.epoch + 1, **figures}
            self._save_weights(shown, BEST)
        self._save_weights(shown, LAST)
        self.epoch, self.step, self.sums = self.epoch + 1, 0, _no_sums()
        self._save_state()
        if time.monotonic() - self._drawn > DRAW_EVERY:
            self._draw()

    def _evaluate(self):
        """Loss and accuracy on the test list, one centre crop of one clip each, with the averaged weights if any."""
        config, loss, top1, top5, clips = self.config, 0.0, 0, 0, 0
        batches = loader(self.eval_set, eval_batches(len(self.eval_set), config.batch), config.run.workers)
        shown = self._shown()
        for batch, logits in predict(shown, batches, config.direction, config.frame, config.speed, self.device):
            self._note(batch.broken)
            if logits is not None:
                scores = logits.mean((1, 2))
                loss += float(torch.nn.functional.cross_entropy(scores, batch.labels, reduction="sum"))
                top1, top5 = top1 + hits(scores, batch.labels, 1), top5 + hits(scores, batch.labels, 5)
                clips += len(batch.labels)
        if not clips:
            raise InputError("evaluation", "no clip that can be read", "a test list of whole clips", "mend the list")
        return {"loss": loss / clips, "top1": top1 / clips, "top5": top5 / clips}

    def _shown(self):
        """The network to evaluate and to save: the averaged one where there is an average."""
        if not self.average:
            return self.network
        shown = models.build(self.network.arch, self.network.fold_div).to(self.device)
        shown.load_state_dict(self.average.state, strict=True)
        return shown

    def _save_weights(self, network, name):
        config = self.config
        checkpoints.save(self.output / name, network, config.direction, config.shift.n_segment, self.data.labels)

    def _save_state(self):
        tensors = {f"model.{name}": tensor for name, tensor in self.network.state_dict().items()}
        tensors.update(state.optimiser_tensors(self.optimiser))
        if self.average:
            tensors.update({f"average.{name}": tensor for name, tensor in self.average.state.items()})
        values = {
            "config": decided(self.config),
            "data": self._digest(),
            "epoch": self.epoch,
            "step": self.step,
            "best": self.best,
            "sums": self.sums,
            "broken": self.broken.reasons,
            "scaler": self.scaler.state_dict(),
            "log": self.log.position,
        }
        state.write(self.output / state.NAME, tensors, values)

    def _note(self, broken):
        for name, reason in broken:
            if self.broken.add(name, reason):
                self.log.write("broken", clip=name, reason=self.broken.reasons[name])

    def _counts(self):
        return {"train": len(self.data.train), "test": len(self.data.test), "broken": len(self.broken.reasons)}

    def _digest(self):
        rows = [[(clip.name, clip.label, clip.count) for clip in clips] for clips in (self.data.train, self.data.test)]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def _draw(self):
        journal.draw(journal.read(self.output / LOG), self.output / CURVES)
        self._drawn = time.monotonic()


def _no_sums():
    return {"loss": 0.0, "right": 0, "clips": 0}


def _same_config(saved, wanted, path):
    saved, wanted = _flat(saved), _flat(wanted)
    different = sorted(key for key in {**saved, **wanted} if saved.get(key) != wanted.get(key))
    if different:
        raise InputError(
            path,
            "another configuration: " + ", ".join(different),
            "the one that it was started with",
            "undo these changes, or start it anew in another output folder",
        )


def _flat(values, prefix=""):
    """Nested dicts as one: "section.key" -> value."""
    flat = {}
    for key, value in values.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return flat
