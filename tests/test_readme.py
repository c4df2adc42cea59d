"""The README's Python examples do what they say, with the model where `make demo` leaves it."""

import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.device.media import write_video

with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as _file:
    EXAMPLES = re.findall(r"```python\n(.*?)```", _file.read(), re.DOTALL)


def test_the_readme_has_an_example_of_a_session_and_one_of_an_engine():
    assert ["open_session" in example for example in EXAMPLES] == [True, False]


@pytest.mark.parametrize("example", EXAMPLES, ids=["session", "engine"])
def test_an_example_runs(example, models, tmp_path):
    assert re.search(r"^assert ", example.strip().split("\n")[-1])
    folder = tmp_path / "build" / "demo"
    folder.mkdir(parents=True)
    os.symlink(os.path.join(models, "mobilenetv2_tsm.onnx"), str(folder / "mobilenetv2_tsm.onnx"))
    write_video(tmp_path / "clip.mp4", 12, fourcc="mp4v")
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=str(tmp_path), check=True, stdout=subprocess.PIPE, universal_newlines=True
    )
    assert done.stdout.count("\n") == (3 if "open_session" in example else 0)  # 12 frames at 30 frames/s, run at 7.5


def test_the_preprocessor_of_the_comment_makes_the_frames_of_two_streams(models, tmp_path):
    """What the README's comment names, in place of the zeros of its example."""
    (example,) = [one for one in EXAMPLES if "np.zeros" in one]
    (name,) = re.findall(r"# or (tsm_edge\.[\w.]+)\(engine\.manifest\.frame\)", example)
    pictures = "[np.full((240, 320, 3), level, np.uint8) for level in (20, 220)]"
    made = "preprocess = {}(engine.manifest.frame)\nframes = np.concatenate([preprocess(one) for one in {}])"
    code = (
        re.sub(r"frames = np\.zeros.*", made.format(name, pictures), example)
        + "assert (frames[0] != frames[1]).all()\n"
    )
    (tmp_path / "build" / "demo").mkdir(parents=True)
    model = os.path.join("build", "demo", "mobilenetv2_tsm.onnx")
    os.symlink(os.path.join(models, "mobilenetv2_tsm.onnx"), str(tmp_path / model))
    subprocess.run([sys.executable, "-c", code], cwd=str(tmp_path), check=True)
