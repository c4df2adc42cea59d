"""An output folder of `tsm-edge train`, made by hand: clips, configuration, recipe, and weights that half know them."""

import re

from tests.export.evaluation import toy as ev
from tests.export.training import toy
from tsm_edge_export import checkpoints
from tsm_edge_export.training import config as configs
from tsm_edge_export.training.lists import load_data
from tsm_edge_export.training.train import recipe_of, write_recipe

FPS = 8.0  # of the model; the clips have twice that
SEGMENTS = """
[data]
kind = "segments"
root = "../data"
train = "validation.csv"
test = "validation.csv"
"""


def make(folder, clips=4, fps=FPS, decision=""):
    """Make folder/out, whose configuration names `clips` clips of each label in folder/data. Returns its path.

    fps: of the model, None for none. decision: lines of the table [decision] of configuration and recipe.
    """
    out = folder / "out"
    out.mkdir(parents=True)
    rows = ["path,start,end,label"]
    for label, name in enumerate(toy.LABELS):
        (folder / "data" / name).mkdir(parents=True)
        for number in range(clips):
            video = f"{name}/s{number}_01.avi"
            ev.write_video(folder / "data" / video, toy.frames(10 * number, label), 2 * FPS)
            rows.append(f"{video},0,{toy.COUNT / (2 * FPS)},{name}")
    (out / "validation.csv").write_text("\n".join(rows) + "\n")
    text = re.sub(r"\[data\][^\[]*", "", toy.CONFIG)
    text = f'name = "toy"\n{"" if fps is None else f"fps = {fps}"}\n' + text + SEGMENTS + f"[decision]\n{decision}\n"
    (out / "config.toml").write_text(text)
    config = configs.load(out / "config.toml")
    data = load_data(config, out)
    checkpoints.save(out / "best.safetensors", ev.fitted(config, data), "causal", config.shift.n_segment, data.labels)
    write_recipe(out / "recipe.toml", recipe_of(config, data.labels))
    return out
