"""Output files: refused before the work, written whole or not at all."""

import os
import threading

import pytest

from tsm_edge.errors import InputError
from tsm_edge.files import check_apart, check_output, draft_folder, sha256_of, write_whole


@pytest.mark.parametrize("name, word", [("none/out.json", "no folder"), ("folder", "a folder")])
def test_places_for_no_file(tmp_path, name, word):
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=word):
        check_output(str(tmp_path / name))
    with pytest.raises(InputError, match=word):
        write_whole(str(tmp_path / name), "text")
    assert os.listdir(str(tmp_path)) == ["folder"]


def test_an_output_is_no_file_in_use_by_any_of_its_names(tmp_path):
    (tmp_path / "model.onnx").write_text("weights")
    (tmp_path / "link").symlink_to(tmp_path / "model.onnx")
    taken = [("the model", str(tmp_path / "model.onnx"))]
    check_apart("--save", str(tmp_path / "out.mp4"), taken)
    for name in ("model.onnx", "link", "./model.onnx"):
        with pytest.raises(InputError, match="the same file as the model"):
            check_apart("--save", os.path.join(str(tmp_path), name), taken)


def test_a_text_replaces_the_file_whole(tmp_path):
    path = tmp_path / "out.json"
    path.write_text("before")
    write_whole(str(path), "after \u8dcc")
    assert path.read_bytes().decode("utf-8") == "after \u8dcc"
    assert os.listdir(str(tmp_path)) == ["out.json"]


def test_a_disk_that_fills_up_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "out.json"
    path.write_text("before")

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match="No space left"):
        write_whole(str(path), "after")
    assert path.read_text() == "before" and os.listdir(str(tmp_path)) == ["out.json"]


def test_a_pipe_is_written_and_not_replaced(tmp_path):
    path = str(tmp_path / "pipe")
    os.mkfifo(path)
    found = []

    def read():
        with open(path) as file:
            found.append(file.read())

    reader = threading.Thread(target=read)
    reader.start()
    write_whole(path, "through")
    reader.join(20)
    assert found == ["through"]


def test_a_draft_folder_stands_beside_the_output_and_goes(tmp_path):
    output = tmp_path / "new" / "model.trt"
    with draft_folder(str(output)) as folder:
        assert os.path.dirname(folder) == str(output.parent)
    assert os.listdir(str(output.parent)) == []


def test_an_error_in_the_block_comes_out_and_the_folder_goes(tmp_path):
    with pytest.raises(KeyError), draft_folder(str(tmp_path / "model.trt")):
        raise KeyError("mine")
    assert os.listdir(str(tmp_path)) == []


def test_a_folder_in_the_place_of_the_output(tmp_path):
    with pytest.raises(InputError, match="Is a directory"), draft_folder(str(tmp_path)):
        pytest.fail("entered")


def test_sha256(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abc" * 1000000)
    assert sha256_of(str(path)) == "f4096a131e7e6ebfa7a512b5c299e13b065df34d15624ee1202ab394cc4d7e90"
