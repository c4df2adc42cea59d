"""A tiny training of a detector: rendered clips of 64 x 64 pixels, a narrow network."""

from tsm_edge.toml_file import read_toml
from tsm_edge_export.recipe import merge
from tsm_edge_export.training.train import toml_tables

CONFIG = """
task = "detection"
direction = "causal"
batch = 2
[arch]
width = 0.25
[shift]
n_segment = 3
[frame]
height = 64
width = 64
crop = "letterbox"
mean = [0.0, 0.0, 0.0]
std = [1.0, 1.0, 1.0]
[data]
kind = "rendered"
rendered = {train = 6, test = 2, size = 64, frames = 6}
[schedule]
epochs = 1
[run]
workers = 0
device = "cpu"
"""


def project(folder, **sections):
    """Write the configuration with changes: sections as keywords, or a plain value for a top-level key."""
    path = folder / "toy.toml"
    path.write_text(CONFIG)
    path.write_text("\n".join(toml_tables(merge(read_toml(path, "a configuration"), sections))) + "\n")
    return path
