"""Recipes: the shipped ones, the defaults, and every kind of mistake in one."""

import resource
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tsm_edge.errors import InputError
from tsm_edge.heads.classification import Decision
from tsm_edge.schema import encode
from tsm_edge_export import recipe

PLAIN = '[arch]\nname = "mobilenetv2"\nnum_classes = 3\n'


def written(folder, text):
    path = folder / "mine.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_the_zoo():
    names = ["mobilenetv2_tsm", "mobilenetv2_tsm_faces", "mobilenetv2_tsm_jester", "mobilenetv2_tsm_objects"]
    assert recipe.names() == [*names, "mobilenetv2_tsm_strokes", "resnet50_tsm"]


@pytest.mark.parametrize("name", recipe.names())
def test_every_shipped_recipe_loads(name):
    spec = recipe.load(name)
    assert spec.name == name
    assert spec.description
    assert len(spec.labels) == spec.arch.num_classes


def test_jester_is_the_published_demo_but_in_rgb():
    spec = recipe.load("mobilenetv2_tsm_jester")
    assert (spec.mode, spec.fps, spec.decision["window"]) == ("online", 15, 12)
    assert (spec.labels[0], spec.labels[2], spec.labels[26]) == (
        "Doing other things",
        "No gesture",
        "Zooming Out With Two Fingers",
    )
    assert (spec.frame.colour, spec.frame.short_side, spec.frame.height) == ("RGB", 256, 224)


def test_the_template_states_the_defaults(tmp_path):
    template = recipe.load(str(recipe.FOLDER / "template.toml"))
    plain = recipe.load(written(tmp_path, PLAIN.replace("3", "2")))
    stated = {name: value for name, value in encode(Decision()).items() if value is not None}  # TOML has no null
    assert template.decision == stated
    assert plain.decision == {}  # the head has its own defaults
    assert template._replace(name="", description="", decision={}) == plain._replace(name="", description="")


def test_defaults(tmp_path):
    spec = recipe.load(written(tmp_path, PLAIN))
    assert (spec.name, spec.mode, spec.arch.width, spec.fps) == ("mine", "online", 1.0, None)
    assert spec.labels == ("class_000", "class_001", "class_002")
    assert spec.shift == ("mit", "bidirectional", 8, 8, "causal")
    assert (spec.weights.file, spec.weights.url, spec.weights.start) == (None, None, False)


def test_weights_lie_beside_the_recipe(tmp_path, monkeypatch):
    path = written(tmp_path, PLAIN + '[weights]\nfile = "../mine.safetensors"\n')
    monkeypatch.chdir(tmp_path)
    for name in (path, Path(path).name):
        assert Path(recipe.load(name).weights.file).resolve() == tmp_path.parent / "mine.safetensors"


def test_part_of_a_table_keeps_the_other_defaults(tmp_path):
    spec = recipe.load(written(tmp_path, PLAIN + "[frame]\nheight = 100\nwidth = 120\n"))
    assert (spec.frame.height, spec.frame.width, spec.frame.short_side) == (100, 120, 256)


MISTAKES = {
    "damaged TOML": (PLAIN + "[frame\n", "damaged TOML"),
    "not UTF-8": (b"\xff\xfe" + PLAIN.encode(), "damaged TOML"),
    "nesting": ("labels = " + "[" * 5000, "damaged TOML"),
    "empty": ("", "name"),
    "no arch": ('mode = "online"\n', "name"),
    "arch a number": ("arch = 3\n", "arch"),
    "arch a list": ("arch = [1]\n", "arch"),
    "unknown key": ("colour = 1\n" + PLAIN, "unknown key colour"),
    "unknown key in a table": (PLAIN + "widht = 1.0\n", "unknown key widht"),
    "misspelt table": (PLAIN + "[frames]\nheight = 3\n", "unknown key frames"),
    "an unknown network": (PLAIN.replace("mobilenetv2", "resnet152"), "arch.name"),
    "a width that the network does not have": (
        PLAIN.replace("mobilenetv2", "resnet18") + "width = 0.5\n",
        "arch.width",
    ),
    "a fold_div that leaves a shift without channels": (PLAIN + "[shift]\nfold_div = 25\n", "at most 24"),
    "classes a string": (PLAIN.replace("3", '"3"'), "num_classes"),
    "classes a truth": (PLAIN.replace("3", "true"), "num_classes"),
    "classes a fraction": (PLAIN.replace("3", "3.0"), "num_classes"),
    "no class": (PLAIN.replace("3", "0"), "num_classes"),
    "fewer than no class": (PLAIN.replace("3", "-1"), "num_classes"),
    "width NaN": (PLAIN + "width = nan\n", "width"),
    "width infinite": (PLAIN + "width = inf\n", "width"),
    "width beyond floats": (PLAIN + "width = 1" + "0" * 400 + "\n", "width"),
    "labels of another length": ('labels = ["a", "b"]\n' + PLAIN, "2 labels"),
    "no labels": ("labels = []\n" + PLAIN, "0 labels"),
    "a label twice": ('labels = ["a", "b", "a"]\n' + PLAIN, "a label twice"),
    "a label that is no string": ('labels = ["a", "b", 3]\n' + PLAIN, "labels[2]"),
    "mode": ('mode = "live"\n' + PLAIN, "mode"),
    "fps zero": ("fps = 0\n" + PLAIN, "fps"),
    "dialect": (PLAIN + '[shift]\ndialect = "paddle"\n', "shift.dialect"),
    "online direction": (PLAIN + '[shift]\nonline_direction = "bidirectional"\n', "shift.online_direction"),
    "direction": (PLAIN + '[shift]\noffline_direction = "future"\n', "shift.direction"),
    "fold_div": (PLAIN + "[shift]\nfold_div = 0\n", "shift"),
    "n_segment": (PLAIN + "[shift]\nn_segment = 0\n", "shift"),
    "colour": (PLAIN + '[frame]\ncolour = "rgb"\n', "frame.colour"),
    "crop above the short side": (PLAIN + "[frame]\nheight = 300\n", "frame.short_side"),
    "two means": (PLAIN + "[frame]\nmean = [0.5, 0.5]\n", "mean"),
    "std of zero": (PLAIN + "[frame]\nstd = [0.2, 0.0, 0.2]\n", "frame.std"),
    "infinite mean": (PLAIN + "[frame]\nmean = [inf, 0.0, 0.2]\n", "mean"),
    "window": (PLAIN + "[decision]\nwindow = 0\n", "decision.window"),
    "threshold": (PLAIN + "[decision]\nthreshold = 1.5\n", "decision.threshold"),
    "an unknown option of the decision": (PLAIN + "[decision]\nhistory = 3\n", "unknown key history"),
    "an ignored label that is none": (PLAIN + '[decision]\nignored = ["x"]\n', "decision.ignored"),
    "file and url": (PLAIN + '[weights]\nurl = "http://x/y"\nfile = "x"\n', "both file and url"),
    "url and start": (PLAIN + '[weights]\nurl = "http://x/y"\nstart = true\n', "both url and start"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named(tmp_path, mistake):
    text, part = MISTAKES[mistake]
    path = written(tmp_path, text)
    with pytest.raises(InputError) as caught:
        recipe.load(path)
    assert path in str(caught.value)
    assert part in str(caught.value)
    assert caught.value.expected and caught.value.do


@pytest.mark.parametrize("model", ["mobilenet", "template", "", "../recipes/resnet50_tsm.tom", "missing.toml"])
def test_an_unknown_recipe_lists_the_known_ones(model):
    with pytest.raises(InputError, match="resnet50_tsm"):
        recipe.load(model)


def test_a_folder_is_no_recipe(tmp_path):
    (tmp_path / "mine.toml").mkdir()
    with pytest.raises(InputError, match="no such recipe"):
        recipe.load(str(tmp_path / "mine.toml"))


NUMBERS = ["arch.num_classes", "arch.width", "shift.fold_div", "shift.n_segment", "frame.height", "frame.width"]
NUMBERS += ["frame.short_side", "fps", "weights.seed", "decision.window", "decision.hysteresis"]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(NUMBERS),
    st.sampled_from([-1, 10**9, 10**12, 2**63 - 1, 2**63, 2**70, -(2**70), 10**400]) | st.integers(10**8, 2**90),
)
def test_a_number_beyond_its_range_is_refused_before_anything_is_built(tmp_path, name, number):
    if name == "weights.seed" and 0 <= number < 2**63:
        number = -number
    section, _, key = name.rpartition(".")
    line = f"{key} = {number}\n"
    if section == "arch":
        text = '[arch]\nname = "mobilenetv2"\n' + line + ("" if key == "num_classes" else "num_classes = 3\n")
    else:
        text = f"{PLAIN}[{section}]\n{line}" if section else line + PLAIN
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError) as caught:
        recipe.load(written(tmp_path, text))
    assert key in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


@pytest.mark.parametrize("model", ["a\0b", "\0.toml", "x" * 5000, "x" * 5000 + ".toml", "/dev/zero", "/dev/zero.toml"])
def test_a_name_of_no_file(model):
    with pytest.raises(InputError, match="no such recipe"):
        recipe.load(model)


@pytest.mark.parametrize("place", ['description = "{}"\n' + PLAIN, PLAIN + '[weights]\nfile = "{}"\n'])
def test_a_nul_character_in_a_recipe(tmp_path, place):
    with pytest.raises(InputError, match="NUL"):
        recipe.load(written(tmp_path, place.format("a\\u0000b")))
