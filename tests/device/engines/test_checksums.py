"""One flipped bit anywhere in the files of a model, or a missing end: refused, or without any effect."""

import os
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.device.damage import flip_bit, flipped
from tests.device.engines.plan import write_plan
from tests.device.running import tsm_edge
from tsm_edge.engines import checksums, load_manifest, read_model_file
from tsm_edge.engines.checksums import write_manifest
from tsm_edge.errors import InputError
from tsm_edge.files import sha256_of
from tsm_edge.manifest import sidecar_path

PLACES = st.floats(0, 1, exclude_max=True)  # in a file, as a share of its bits
MANY = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=["onnx", "onnx beside", "trt", "trt record", "toy", "toy manifest"])
def pair(request, models, tmp_path):
    """(the model, the file to damage, whether every bit of that file counts)."""
    onnx = os.path.join(models, "tiny_custom.onnx")
    kind, path = request.param.split()[0], str(tmp_path / "model")
    if kind == "onnx":
        path = shutil.copy(onnx, path + ".onnx")
        shutil.copy(sidecar_path(onnx), sidecar_path(path))
    elif kind == "trt":
        path = write_plan(path + ".trt", load_manifest(onnx))
    else:
        path = request.getfixturevalue("toy_file")(path + ".toy", onnx)
    # JSON has several texts for one value: "1e-4" is "1E-4", and many digits are one float.
    beside = " " in request.param
    return path, sidecar_path(path) if beside else path, not beside


@pytest.fixture
def toy_file():
    from tsm_edge.engines import ENGINES
    from tsm_edge.registry import Entry

    def write(path, onnx):
        with open(path, "wb") as file:
            file.write(b"weights" * 50)
        write_manifest(path, load_manifest(onnx))
        return path

    ENGINES.add(Entry("toy", "tests.device.engines.toy", "a toy", matches=(".toy",)))
    yield write
    ENGINES.remove("toy")


@MANY
@given(place=PLACES)
def test_a_flipped_bit_is_refused(pair, place):
    path, damaged, every_bit = pair
    expected = read_model_file(path)
    with open(damaged, "rb") as file:
        data = file.read()
    try:
        with open(damaged, "wb") as file:
            file.write(flipped(data, int(place * 8 * len(data))))
        try:
            got = read_model_file(path)
        except InputError as error:
            assert error.exit_code == 2 and error.do
        else:
            assert not every_bit and got == expected
    finally:
        with open(damaged, "wb") as file:
            file.write(data)


@MANY
@given(place=PLACES)
def test_a_missing_end_is_refused(pair, place):
    path, damaged, _ = pair
    with open(damaged, "rb") as file:
        data = file.read()
    try:
        with open(damaged, "wb") as file:
            file.write(data[: int(place * (len(data.rstrip()) - 1))])
        with pytest.raises(InputError):
            read_model_file(path)
    finally:
        with open(damaged, "wb") as file:
            file.write(data)


COMMANDS = {
    "info": ("info", "{}"),
    "run": ("run", "--engine", "{}", "--source", "{}"),
    "profile": ("profile", "--engine", "{}", "--seconds", "1"),
    "compare": ("compare", "--run", "{}", "{}"),
    "build": ("build", "{}"),
}


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_no_command_takes_a_model_with_a_flipped_bit_in_a_weight(models, tmp_path, capsys, command):
    path = shutil.copy(os.path.join(models, "tiny_custom.onnx"), str(tmp_path))
    size = os.path.getsize(path)
    flip_bit(path, 8 * (size // 2) + 6)
    done = tsm_edge(capsys, *[word.format(path) for word in COMMANDS[command]])
    assert done.code == 2 and not done.out
    assert "damaged or changed" in done.err and path in done.err and "do:" in done.err


def test_a_record_without_a_checksum_asks_for_a_build(models, tmp_path):
    path = write_plan(str(tmp_path / "model.trt"), load_manifest(os.path.join(models, "tiny_custom.onnx")))
    with open(path + ".json") as file:
        text = file.read()
    with open(path + ".json", "w") as file:
        file.write(text.replace('"sha256": "' + read_record_digest(text), '"sha257": "'))
    with pytest.raises(InputError, match="no checksum") as caught:
        load_manifest(path)
    assert "tsm-edge build MODEL.onnx -o " + path in caught.value.do


def read_record_digest(text):
    return text.rsplit('"sha256": "', 1)[1].split('"')[0]


def test_a_damaged_plan_is_refused_before_the_machine_is_asked(models, tmp_path):
    path = write_plan(str(tmp_path / "model.trt"), load_manifest(os.path.join(models, "tiny_custom.onnx")))
    assert read_model_file(path).sha256 == sha256_of(path)
    flip_bit(path, 99)
    with pytest.raises(InputError, match="another file") as caught:
        load_manifest(path)
    assert caught.value.do == "tsm-edge build"


def test_a_file_is_hashed_once_until_it_changes(tmp_path):
    calls, path = [], str(tmp_path / "file")

    def read(path):
        calls.append(path)
        return len(calls)

    with open(path, "wb") as file:
        file.write(b"1")
    assert [checksums.once(path, read) for _ in range(2)] == [1, 2]  # it may change again within one tick of the clock
    before, checksums.SETTLED_SECONDS = checksums.SETTLED_SECONDS, -1.0
    try:
        assert [checksums.once(path, read) for _ in range(3)] == [3, 3, 3]
        os.utime(path, (1e9, 1e9))
        assert [checksums.once(path, read) for _ in range(2)] == [4, 4]
    finally:
        checksums.SETTLED_SECONDS = before
