"""The toy gestures of the training tests, a network that half knows them, and an engine whose answers stand in the
pictures."""

from typing import NamedTuple

import cv2
import numpy as np
import torch

from tests.export.training import toy
from tsm_edge.engines.base import Engine, State
from tsm_edge.errors import SourceError
from tsm_edge.manifest import WeightsSpec
from tsm_edge_export import checkpoints, models, recipe
from tsm_edge_export.training import config as configs
from tsm_edge_export.training.dataset import EvalSet, collate, normalised
from tsm_edge_export.training.lists import load_data
from tsm_edge_export.training.train import recipe_of, write_recipe


class Project(NamedTuple):
    """Paths: of the configuration, the weights (their recipe beside them), the recipe, and the test list."""

    config: str
    weights: str
    recipe: str
    list: str


def project(folder, direction="causal", more=""):
    """Toy data, and weights that classify part of it rightly. more: lines at the end of the configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    path = toy.project(folder, train=8, test=6)
    path.write_text(path.read_text() + more)
    config = configs.load(path, {"direction": direction})
    data = load_data(config, path)
    run = folder / "run"
    run.mkdir()
    network = fitted(config, data)
    checkpoints.save(run / "best.safetensors", network, direction, config.shift.n_segment, data.labels)
    write_recipe(run / "recipe.toml", recipe_of(config, data.labels))
    return Project(path, run / "best.safetensors", run / "recipe.toml", folder / "data" / "list_100.txt")


@torch.no_grad()
def fitted(config, data):
    """A random network with BatchNorm's statistics of the training clips, and a classifier fitted to them: a second of
    work, where training would take half a minute."""
    spec = recipe_of(config, data.labels)
    network = models.build(spec.arch, spec.shift.fold_div)
    models.init_(network, 0)
    clips = EvalSet(data.train, config.frame, config.shift.n_segment, config.sampling)
    batch = collate([clips[0, index] for index in range(len(clips))])
    x = normalised(batch.frames[:, 0], config.frame)
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    network.train().clip(x, config.direction)
    head = next(module for module in network.modules() if isinstance(module, torch.nn.Linear))
    seen = []
    hook = head.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    network.eval().clip(x, config.direction)
    hook.remove()
    features = seen[0].reshape(*x.shape[:2], -1).mean(1).double()
    targets = torch.nn.functional.one_hot(batch.labels, len(data.labels)).double() * 2 - 1
    middle = features.mean(0)
    weight = torch.linalg.lstsq(features - middle, targets, driver="gelsd").solution.T
    head.weight.copy_(weight)
    head.bias.copy_(-weight @ middle)
    return network


class Pictures:
    """A clip of given frames: (count, H, W, 3) uint8 RGB. broken: reading it fails."""

    def __init__(self, name, label, frames, broken=False):
        self.name, self.label, self.frames, self.broken = name, label, frames, broken
        self.count = len(frames)

    def read(self, indices):
        if self.broken:
            raise SourceError(self.name, "damaged", "a whole clip", "copy it again")
        return self.frames[np.asarray(indices)]


def grey(levels, size=32):
    """(len(levels), size, size, 3) uint8: one grey picture a level."""
    return np.broadcast_to(np.array(levels, np.uint8)[:, None, None, None], (len(levels), size, size, 3))


LABELS = ("wave", "nod", "turn", "nothing")
STEP = 40  # grey levels between two classes


class Reader(Engine):
    """An online engine that answers what the picture says: class k is a grey level of k * STEP, at any place.

    decision: of the classification head. share: of the last answer that the next one keeps, as a memory that a reset
    must clear.
    """

    backend = "reader"

    def __init__(self, decision=None, share=0.0, fps=None, n_segment=4):
        spec = recipe.Recipe(
            name="reader",
            arch=recipe.ArchSpec("mobilenetv2", 0.25, len(LABELS)),
            shift=recipe.RecipeShift(n_segment=n_segment),
            frame=recipe.FrameSpec("NCHW", "RGB", 32, 32, 32, "center", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
            fps=fps,
            labels=LABELS,
            decision=decision or {"threshold": 0.5, "ignored": ["nothing"]},
        )
        network, weights = models.outline(spec.arch), WeightsSpec("0" * 64, "none", True)
        super().__init__(recipe.manifest_of(spec, "online", "standard", network, weights, "reader"), "reader")
        self.share = share

    def _new_state(self, streams):
        return _Memory(self.manifest, streams)

    def _step(self, frames, state, rows):
        level = (frames.mean((1, 2, 3)) * 0.5 + 0.5) * 255 / STEP
        answers = -10 * np.abs(level[:, None] - np.arange(len(LABELS))).astype(np.float32)
        for row, answer in zip(rows, answers, strict=True):
            which = state.sets[row]
            state.last[1 - which][row] = self.share * state.last[which][row] + (1 - self.share) * answer
        return {"logits": np.stack([state.last[1 - state.sets[row]][row] for row in rows])}


class _Memory(State):
    """The last answer of each stream, in the place of caches."""

    def __init__(self, manifest, streams):
        super().__init__(manifest, streams)
        self.last = np.zeros((2, streams, len(LABELS)), np.float32)

    def _clear(self, which, stream):
        self.last[which, slice(None) if stream is None else stream] = 0


def write_video(path, frames, fps):
    """Frames (N, H, W, 3) RGB as a Motion JPEG file."""
    height, width = frames.shape[1:3]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), fps, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    return str(path)


def untrained(folder, labels, ignored=()):
    """Weights of a random network for frames of 32 x 32, and their recipe beside them."""
    path = folder / "weights.toml"
    path.write_text(
        'direction = "causal"\n[arch]\nwidth = 0.25\n[shift]\nn_segment = 4\n'
        "[frame]\nheight = 32\nwidth = 32\nshort_side = 36\n"
        f'[decision]\nignored = {list(ignored)}\n[data]\nkind = "synthetic"\n'
    )
    spec = recipe_of(configs.load(path), labels)
    network = models.build(spec.arch, spec.shift.fold_div)
    models.init_(network, 0)
    checkpoints.save(folder / "weights.safetensors", network, "causal", 4, labels)
    write_recipe(folder / "recipe.toml", spec)
