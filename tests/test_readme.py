"""The README's Python lines do what it says, with the model where `make demo` leaves it."""

import os
import re
import subprocess
import sys

from tests.conftest import ROOT


def test_the_snippet_of_the_readme_runs(models, tmp_path):
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        snippets = re.findall(r"```python\n(.*?)```", file.read(), re.DOTALL)
    assert len(snippets) == 1
    assert re.search(r"^assert ", snippets[0].strip().split("\n")[-1])
    folder = tmp_path / "build" / "demo"
    folder.mkdir(parents=True)
    os.symlink(os.path.join(models, "mobilenetv2_tsm.onnx"), str(folder / "mobilenetv2_tsm.onnx"))
    subprocess.run([sys.executable, "-c", snippets[0]], cwd=str(tmp_path), check=True)
