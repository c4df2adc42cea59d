"""The training loop. Its whole state is a position and tensors, so a killed run can go on as if never interrupted."""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from tsm_edge.errors import InputError
from tsm_edge_export import checkpoints, models
from tsm_edge_export.models import Network
from tsm_edge_export.threads import take_up_threads
from tsm_edge_export.trained import WEIGHTS as BEST

from . import journal, memory, state
from .broken import Broken
from .config import Config, decided
from .dataset import Batch, EvalSet, TrainSet, eval_batches, loader, train_batches
from .lists import Data
from .loss import class_weights, clip_loss, clip_scores, hits
from .optimiser import Average, HeadDropout, build, rate_at, set_rate, train_mode
from .predict import predict, to_input

LAST, LOG, CURVES = "last.safetensors", "log.jsonl", "curves.png"
DRAW_SECONDS = 30.0  # between two drawings of the curves
_NO_SUMS: dict[str, float] = {"loss": 0.0, "right": 0, "clips": 0}
_POSITION = ("epoch", "step", "best", "sums")


class Trainer:
    """Trains one network by one configuration into an existing folder: begin() or resume(), then run().

    The network starts with its weights, on `device`, and is changed in place. report: called with one line of text
    after each epoch.
    """

    log: journal.Journal  # of begin() or resume()

    def __init__(
        self,
        config: Config,
        network: Network,
        data: Data,
        flips: list[int] | None,
        output: Any,
        device: Any,
        report: Callable[[str], object] = lambda _text: None,
    ) -> None:
        self.report = report
        self.config, self.network, self.data = config, network, data
        self.output, self.device = Path(output), torch.device(device)
        self.amp = config.speed.amp and self.device.type == "cuda"
        if config.speed.channels_last:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        train_mode(network, config.regular.batch_norm, config.regular.frozen)
        self.optimiser = build(network, config.optimiser)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.amp)
        self.average = Average(network, config.regular.ema) if config.regular.ema else None
        self.dropout = HeadDropout(network, config.regular.dropout, config.seed, self.device)
        weights = class_weights(config.loss, data.train, network.arch.num_classes)
        self.class_weights = None if weights is None else weights.to(self.device)
        self.train_set = TrainSet(data.train, config, flips)
        test_items = EvalSet(data.test, config.frame, config.shift.n_segment, config.sampling)
        self.eval_set: Any = memory.Kept(test_items) if config.data.hold else test_items
        self.broken = data.broken
        self.epoch = self.step = 0  # epochs done, and steps of the current one
        self.best: dict[str, Any] = {}  # epoch, loss, top1 and top5 of the chosen weights so far
        self.sums = dict(_NO_SUMS)
        self.tested: tuple[list[int], list[int]] = [], []  # right ones and test clips of each label, at the last test
        self._drawn = time.monotonic()

    def begin(self, start: dict[str, Any]) -> None:
        """Start a new training; the files of an older one go. start: further values of the log's first line."""
        for name in (state.NAME, BEST, LAST, CURVES):
            (self.output / name).unlink(missing_ok=True)
        self.log = journal.Journal(self.output / LOG)
        counts = {"train": len(self.data.train), "test": len(self.data.test), "broken": len(self.broken.reasons)}
        self.log.write("start", config=decided(self.config), clips=counts, **start)
        for name, reason in self.broken.reasons.items():
            self.log.write("broken", clip=name, reason=reason)
        if start.get("head") == "kept":  # how good it is before training, for example after a change of direction
            figures = self._evaluate()
            self.log.write("test", epoch=0, **figures)
            self.report(f"before training: test {figures['top1']:.1%}")
        self._save_state()

    def resume(self) -> None:
        """Go on from the folder's saved state. Raises InputError for none, or that of another configuration or list."""
        path = self.output / state.NAME
        tensors, values = state.read(path)
        _check_config(values["config"], decided(self.config), path)
        if values["data"] != self._digest():
            raise InputError(path, "other clips", "the lists that it was started with", "put them back, or start anew")
        try:
            self.network.load_state_dict(state.part(tensors, "model"), strict=True)
            state.load_optimiser(self.optimiser, tensors)
            if self.average:
                self.average.state = {n: t.to(self.device) for n, t in state.part(tensors, "average").items()}
        except (RuntimeError, KeyError, ValueError) as error:
            raise InputError(path, f"other tensors ({error})", "those of this network", "start it anew") from None
        self.scaler.load_state_dict(values["scaler"])
        take_up_threads(values.get("threads", 0))
        for name in _POSITION:
            setattr(self, name, values[name])
        self.broken = Broken(self.broken.total, {**self.broken.reasons, **values["broken"]}, self.broken.most)
        self.log = journal.Journal(self.output / LOG, values["log"])
        self.log.write("resume", epoch=self.epoch, step=self.step)

    def run(self) -> None:
        """Train to the end. Raises InputError for too many broken clips, a full disk, or a loss that is not finite."""
        if self.config.data.hold:
            memory.load(self.data.train, self.eval_set, lambda name, reason: self._note([(name, str(reason))]))
        began, first, epochs = time.monotonic(), self.epoch + self._share_done(), self.config.schedule.epochs
        while self.epoch < epochs:
            trained = self._train_epoch()
            tested = self._end_epoch()
            left = (time.monotonic() - began) / (self.epoch - first) * (epochs - self.epoch)
            line = journal.epoch_line(self.epoch, epochs, trained, tested, left)
            self.report(line + journal.weakest(self.data.labels, *self.tested))
        self.log.write("end", best=self.best, broken=len(self.broken.reasons))
        self._draw()

    def _share_done(self) -> float:
        """Return how much of the current epoch is done, from 0 to below 1: more than 0 only after a resume."""
        steps = len(train_batches(len(self.train_set), self.config.batch, self.config.seed, self.epoch))
        return min(self.step / max(steps, 1), 0.999)

    def _train_epoch(self) -> dict[str, float]:
        """Train to the end of the epoch. Returns its loss and accuracy on the training clips."""
        config, sums = self.config, self.sums
        batches = train_batches(len(self.train_set), config.batch, config.seed, self.epoch)
        source = loader(self.train_set, batches[self.step :], config.run.workers, self.device.type == "cuda")
        started, first = time.perf_counter(), sums["clips"]
        train_mode(self.network, config.regular.batch_norm, config.regular.frozen)
        text = f"epoch {self.epoch + 1}/{config.schedule.epochs}"
        with tqdm(total=len(batches), initial=self.step, desc=text, leave=False, disable=None) as bar:
            for batch in source:
                self._note(batch.broken)
                if batch.frames is not None:
                    self._train_step(batch, self.epoch + self.step / len(batches), len(batches))
                self.step += 1
                bar.update()
                if sums["clips"]:
                    bar.set_postfix(loss=sums["loss"] / sums["clips"], refresh=False)
                if config.run.save_steps and self.step % config.run.save_steps == 0 and self.step < len(batches):
                    self._save_state()
        seconds, clips = time.perf_counter() - started, sums["clips"]
        if not clips:
            raise InputError("training", "an epoch without a whole clip", "clips", "mend the list")
        figures = {"loss": sums["loss"] / clips, "top1": sums["right"] / clips}
        rate, speed = self.optimiser.param_groups[0]["lr"], round((clips - first) / seconds, 2)
        self.log.write("train", epoch=self.epoch + 1, **figures, rate=rate, clips_per_second=speed)
        return figures

    def _train_step(self, batch: Batch, moment: float, steps: int) -> None:
        """Train on one batch. moment: epochs done, as a fraction. steps: of an epoch."""
        config, number = self.config, self.epoch * steps + self.step
        set_rate(self.optimiser, rate_at(moment, config.schedule, config.optimiser.rate))
        self.dropout.begin(number)
        tensors = batch.frames, batch.labels, batch.frame_labels
        frames, labels, frame_labels = (t if t is None else t.to(self.device, non_blocking=True) for t in tensors)
        assert frames is not None and labels is not None
        x = to_input(frames[:, 0], config.frame, config.speed)
        with torch.autocast(self.device.type, torch.float16, enabled=self.amp):
            (logits,) = self.network.clip(x, config.direction)
        loss = clip_loss(logits, labels, config.loss, self.class_weights, frame_labels)
        value = loss.item()
        if not math.isfinite(value):
            where = f"epoch {self.epoch + 1}, step {self.step + 1}"
            do = "lower optimiser.rate, lengthen schedule.warmup, or set optimiser.clip_gradient"
            raise InputError(where, f"a loss of {value}", "a finite one", do)
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

    def _end_epoch(self) -> dict[str, float]:
        """Write accuracy, weights and, last, the state: after a kill in between a resume repeats the epoch's end.

        Returns loss and accuracy on the test clips.
        """
        figures = self._evaluate()
        self.log.write("test", epoch=self.epoch + 1, **figures, right=self.tested[0], of=self.tested[1])
        config, shown, names = self.config, self._shown(), [LAST]
        better = not self.best or (figures["top1"], -figures["loss"]) > (self.best["top1"], -self.best["loss"])
        if better or config.schedule.choose == "last":
            self.best, names = {"epoch": self.epoch + 1, **figures}, [BEST, LAST]
        for name in names:
            checkpoints.save(self.output / name, shown, config.direction, config.shift.n_segment, self.data.labels)
        self.epoch, self.step, self.sums = self.epoch + 1, 0, dict(_NO_SUMS)
        self._save_state()
        if time.monotonic() - self._drawn > DRAW_SECONDS:
            self._draw()
        return figures

    def _evaluate(self) -> dict[str, float]:
        """Return loss and accuracy on the test list, one centre crop of one clip each."""
        config, loss, top1, top5, clips = self.config, 0.0, 0, 0, 0
        right, of = ([0] * len(self.data.labels) for _ in range(2))
        batches = loader(self.eval_set, eval_batches(len(self.eval_set), config.batch), config.run.workers)
        shown = self._shown()
        for batch, logits in predict(shown, batches, config.direction, config.frame, config.speed, self.device):
            self._note(batch.broken)
            if logits is not None and batch.labels is not None:
                scores = logits.mean((1, 2))
                loss += float(cross_entropy(scores, batch.labels, reduction="sum"))
                top1, top5 = top1 + hits(scores, batch.labels, 1), top5 + hits(scores, batch.labels, 5)
                clips += len(batch.labels)
                for label, guess in zip(batch.labels.tolist(), scores.argmax(1).tolist(), strict=True):
                    right[label] += label == guess
                    of[label] += 1
        self.tested = right, of
        if not clips:
            raise InputError("evaluation", "no clip that can be read", "a test list of whole clips", "mend the list")
        return {"loss": loss / clips, "top1": top1 / clips, "top5": top5 / clips}

    def _shown(self) -> Network:
        """Return the network to evaluate and to save: the averaged one where there is an average."""
        if not self.average:
            return self.network
        shown = models.build(self.network.arch, self.network.fold_div).to(self.device)
        shown.load_state_dict(self.average.state, strict=True)
        return shown

    def _save_state(self) -> None:
        tensors = {f"model.{name}": tensor for name, tensor in self.network.state_dict().items()}
        tensors.update(state.optimiser_tensors(self.optimiser))
        if self.average:
            tensors.update({f"average.{name}": tensor for name, tensor in self.average.state.items()})
        values = {
            **{name: getattr(self, name) for name in _POSITION},
            "config": decided(self.config),
            "data": self._digest(),
            "broken": self.broken.reasons,
            "scaler": self.scaler.state_dict(),
            "threads": torch.get_num_threads(),
            "log": self.log.position,
        }
        state.write(self.output / state.NAME, tensors, values)

    def _note(self, broken: Iterable[tuple[str, str]]) -> None:
        for name, reason in broken:
            if self.broken.add(name, reason):
                self.log.write("broken", clip=name, reason=self.broken.reasons[name])

    def _digest(self) -> str:
        """Return one number for both lists of clips."""
        rows = [[(clip.name, clip.label, clip.count) for clip in clips] for clips in (self.data.train, self.data.test)]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def _draw(self) -> None:
        journal.draw(journal.read(self.output / LOG), self.output / CURVES)
        self._drawn = time.monotonic()


def _check_config(saved: dict[str, Any], wanted: dict[str, Any], path: Path) -> None:
    saved, wanted = _flat(saved), _flat(wanted)
    different = sorted(key for key in {**saved, **wanted} if saved.get(key) != wanted.get(key))
    if different:
        got, do = "another configuration: " + ", ".join(different), "undo these changes, or start anew with another -o"
        raise InputError(path, got, "the one that it was started with", do)


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested dicts as one: "section.key" -> value."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return flat
