"""What the shift costs in training: time and memory of a training step with the shift, and of the same step without.

Memory is the GPU's own peak or, on a CPU, the peak memory of the process; each side runs in a separate process.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
import torch

import common
from memory import peak
from tsm_edge.manifest import ArchSpec
from tsm_edge_export import models
from tsm_edge_export.training import config
from tsm_edge_export.training.broken import Broken
from tsm_edge_export.training.classification import Classification
from tsm_edge_export.training.dataset import Batch
from tsm_edge_export.training.lists import Data
from tsm_edge_export.training.loop import Trainer

SIDES = ("none", "causal", "bidirectional")
LABELS = tuple(f"class_{index}" for index in range(12))
CONFIG = (
    'direction = "none"\n[data]\nkind = "synthetic"\n[optimiser]\nname = "sgd"\n'
    "[loss]\nlabel_smoothing = 0.0\n[regular]\nema = 0.999\n"
)


def stepper(direction, chosen, folder):
    """Return a function that does one training step of `chosen.batch` clips, all of it but reading the clips."""
    path = Path(folder) / "bench.toml"
    path.write_text(CONFIG)
    spec = config.load(path, {"direction": direction, "batch": chosen.batch})
    network = models.init_(models.build(ArchSpec(spec.arch.name, spec.arch.width, len(LABELS)), 8), 0)
    data = Data([], [], LABELS, True, Broken(1))
    task = Classification(spec, network.to(chosen.device), data, None, chosen.device)
    trainer = Trainer(spec, network, task, folder, chosen.device)
    rng = np.random.default_rng(0)
    shape = (chosen.batch, 1, spec.shift.n_segment, spec.frame.height, spec.frame.width, 3)
    frames = torch.from_numpy(rng.integers(0, 256, shape, np.uint8))
    batch = Batch(frames, torch.from_numpy(rng.integers(0, len(LABELS), chosen.batch)), (), ())

    def step():
        trainer._train_step(batch, 5.0, 100)  # 5 epochs in, 100 steps each; it waits for the loss, so for the device
        if trainer.device.type == "cuda":
            torch.cuda.synchronize()

    return step


def memory(direction, chosen):
    """Return the peak memory in MB of three steps in a separate process."""
    command = [sys.executable, __file__, "--batch", str(chosen.batch), "--device", chosen.device]
    done = subprocess.run(
        [*command, "--threads", str(chosen.threads), "--memory", direction], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def measure_memory(chosen):
    """Return what the process of `memory` prints."""
    with tempfile.TemporaryDirectory() as folder:
        step = stepper(chosen.memory, chosen, folder)
        for _ in range(3):
            step()
    if chosen.device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    return peak()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=20, help="turns that each side takes")
    parser.add_argument("--batch", type=int, default=4, help="clips of a step (8 frames of 224x224 each)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", metavar="FILE", help="write the results there")
    parser.add_argument("--memory", choices=SIDES, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    if chosen.memory:
        print(measure_memory(chosen))
        return
    with tempfile.TemporaryDirectory() as folder:
        sides = {direction: stepper(direction, chosen, folder) for direction in SIDES}
        seconds = common.in_turn(sides, chosen.rounds, warm_up=2, turn=0)
    rows = {}
    for direction in SIDES:
        rows[f"{direction}, clips/s"] = chosen.batch / median(seconds[direction])
        rows[f"{direction}, peak memory, MB"] = memory(direction, chosen)
    for direction in SIDES[1:]:
        rows[f"{direction} / none, time"] = common.ratio(seconds, direction, "none")
        rows[f"{direction} / none, memory"] = rows[f"{direction}, peak memory, MB"] / rows["none, peak memory, MB"]
    common.finish("training", rows, chosen)


if __name__ == "__main__":
    main()
