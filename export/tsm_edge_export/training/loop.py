"""The training loop. Its whole state is a position and tensors, so a killed run can go on as if never interrupted."""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from tsm_edge.errors import InputError
from tsm_edge_export import checkpoints, models
from tsm_edge_export.models import Network
from tsm_edge_export.threads import take_up_threads
from tsm_edge_export.trained import WEIGHTS as BEST

from . import journal, state
from .broken import Broken
from .config import decided
from .dataset import loader, train_batches
from .optimiser import Average, build, rate_at, set_rate, train_mode
from .task import Figures, Task

LAST, LOG, CURVES = "last.safetensors", "log.jsonl", "curves.png"
DRAW_SECONDS = 30.0  # between two drawings of the curves
_POSITION = ("epoch", "step", "best", "sums")


class Trainer:
    """Trains one network by one configuration into an existing folder: begin() or resume(), then run().

    The network starts with its weights, on `device`, and is changed in place. task: what is trained. report: called
    with one line of text after each epoch. config: of training.config, or of the task; the loop reads what they share.
    """

    log: journal.Journal  # of begin() or resume()

    def __init__(
        self,
        config: Any,
        network: Network,
        task: Task,
        output: Any,
        device: Any,
        report: Callable[[str], object] = lambda _text: None,
    ) -> None:
        self.report = report
        self.config, self.network, self.task = config, network, task
        self.output, self.device = Path(output), torch.device(device)
        self.amp = config.speed.amp and self.device.type == "cuda"
        if config.speed.channels_last:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        train_mode(network, config.regular.batch_norm, config.regular.frozen)
        self.optimiser = build(network, config.optimiser)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.amp)
        self.average = Average(network, config.regular.ema) if config.regular.ema else None
        self.broken = task.broken
        self.epoch = self.step = 0  # epochs done, and steps of the current one
        self.best: dict[str, Any] = {}  # epoch and test figures of the chosen weights so far
        self.sums = dict(task.no_sums)
        self._drawn = time.monotonic()

    def begin(self, start: dict[str, Any]) -> None:
        """Start a new training; the files of an older one go. start: further values of the log's first line."""
        for name in (state.NAME, BEST, LAST, CURVES):
            (self.output / name).unlink(missing_ok=True)
        self.log = journal.Journal(self.output / LOG)
        counts = {**self.task.counts, "broken": len(self.broken.reasons)}
        self.log.write("start", config=decided(self.config), clips=counts, **start)
        for name, reason in self.broken.reasons.items():
            self.log.write("broken", clip=name, reason=reason)
        if start.get("head") == "kept":  # how good it is before training, for example after a change of direction
            figures = self._evaluate()
            self.log.write("test", epoch=0, **figures)
            self.report(f"before training: test {figures[self.task.measure]:.1%}")
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
        self.task.prepare(self._note)
        began, first, epochs = time.monotonic(), self.epoch + self._share_done(), self.config.schedule.epochs
        while self.epoch < epochs:
            trained = self._train_epoch()
            tested = self._end_epoch()
            left = (time.monotonic() - began) / (self.epoch - first) * (epochs - self.epoch)
            self.report(self.task.line(self.epoch, epochs, trained, tested, left))
        self.log.write("end", best=self.best, broken=len(self.broken.reasons))
        self._draw()

    def _share_done(self) -> float:
        """Return how much of the current epoch is done, from 0 to below 1: more than 0 only after a resume."""
        steps = len(train_batches(len(self.task.train_set), self.config.batch, self.config.seed, self.epoch))
        return min(self.step / max(steps, 1), 0.999)

    def _train_epoch(self) -> Figures:
        """Train to the end of the epoch. Returns its figures on the training clips."""
        config, sums = self.config, self.sums
        batches = train_batches(len(self.task.train_set), config.batch, config.seed, self.epoch)
        pinned, task = self.device.type == "cuda", self.task
        source = loader(task.train_set, batches[self.step :], config.run.workers, pinned, task.collate)
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
        figures = task.figures(sums)
        rate, speed = self.optimiser.param_groups[0]["lr"], round((clips - first) / seconds, 2)
        self.log.write("train", epoch=self.epoch + 1, **figures, rate=rate, clips_per_second=speed)
        return figures

    def _train_step(self, batch: Any, moment: float, steps: int) -> None:
        """Train on one batch. moment: epochs done, as a fraction. steps: of an epoch."""
        config, number = self.config, self.epoch * steps + self.step
        set_rate(self.optimiser, rate_at(moment, config.schedule, config.optimiser.rate))
        loss, sums = self.task.step(self._forward, batch, number)
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
        for key, amount in sums.items():
            self.sums[key] += amount

    def _forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Run clips (N, T, 3, H, W) through the network, in float16 where that is safe and speed.amp says so."""
        with torch.autocast(self.device.type, torch.float16, enabled=self.amp):
            return self.network.clip(x, self.config.direction)

    def _end_epoch(self) -> Figures:
        """Write figures, weights and, last, the state: after a kill in between a resume repeats the epoch's end.

        Returns the figures on the test clips.
        """
        figures = self._evaluate()
        self.log.write("test", epoch=self.epoch + 1, **figures, **self.task.details())
        config, shown, names = self.config, self._shown(), [LAST]
        better = not self.best or self._rank(figures) > self._rank(self.best)
        if better or config.schedule.choose == "last":
            self.best, names = {"epoch": self.epoch + 1, **figures}, [BEST, LAST]
        for name in names:
            half = self.task.half and name == BEST
            fixed = config.direction, config.shift.n_segment, self.task.labels
            checkpoints.save(self.output / name, shown, *fixed, half=half)
        self.epoch, self.step, self.sums = self.epoch + 1, 0, dict(self.task.no_sums)
        self._save_state()
        if time.monotonic() - self._drawn > DRAW_SECONDS:
            self._draw()
        return figures

    def _rank(self, figures: dict[str, Any]) -> tuple[float, float]:
        """Return what is larger for better figures."""
        return figures[self.task.measure], -figures["loss"]

    def _evaluate(self) -> Figures:
        """Return the figures on the test clips."""
        return self.task.evaluate(self._shown(), self._note)

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
        return hashlib.sha256(json.dumps(self.task.identity()).encode()).hexdigest()

    def _draw(self) -> None:
        journal.draw(journal.read(self.output / LOG), self.output / CURVES, self.task.curves)
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
