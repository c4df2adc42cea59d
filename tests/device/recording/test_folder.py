"""The data folder: whole clips under free names, a log that survives a kill, one recorder at a time."""

import json
import multiprocessing
import os
import resource
import time

import numpy as np
import pytest

from tests.device import media
from tests.device.recording.clips import files_in, log_of, numbers_of
from tsm_edge.errors import InputError
from tsm_edge.recording.draft import Draft
from tsm_edge.recording.folder import LOG, open_folder
from tsm_edge.records import Frame


def draft_of(folder, count=5, fps=10.0, jitter=0.0, size=(64, 48)):
    draft, random = Draft(str(folder)), np.random.RandomState(3)
    for index in range(count):
        draft.add(Frame(index, index / fps + jitter * random.rand(), media.grey(index, size), wall_time=7.0))
    return draft


def test_clips_are_numbered_by_session_and_never_overwritten(tmp_path):
    place = tmp_path / "data"
    for _ in range(2):
        with open_folder(str(place)) as folder:
            for label, session in (("wave", "one"), ("wave", "one"), ("push", "one"), ("wave", "two")):
                folder.keep(draft_of(place), label, session, "camera 0")
    (place / "wave" / "one_07.avi").write_bytes(b"mine")
    with open_folder(str(place)) as folder:
        assert folder.keep(draft_of(place), "wave", "one", "camera 0").file == "wave/one_08.avi"
        assert folder.count("wave") == 8 and folder.count("none") == 0
    names = ["push/one_01.avi", "push/one_02.avi", "recording.jsonl"]
    names += ["wave/one_{:02d}.avi".format(number) for number in (1, 2, 3, 4, 7, 8)]
    assert files_in(place) == names + ["wave/two_01.avi", "wave/two_02.avi"]
    assert (place / "wave" / "one_07.avi").read_bytes() == b"mine"


def test_a_clip_tells_what_it_is(tmp_path):
    with open_folder(str(tmp_path)) as folder:
        kept = folder.keep(draft_of(tmp_path, 21, 10.0), "wave", "one", "rtsp://me:secret@host/x", dropped=2)
    (record,) = log_of(tmp_path)
    assert record == dict({k: v for k, v in kept._asdict().items() if k != "path"}, kind="clip")
    assert "secret" not in json.dumps(record) and "host" in record["source"]
    assert (record["frames"], record["fps"], record["seconds"]) == (21, 10.0, 2.1)
    assert (record["width"], record["height"], record["dropped"], record["wall_time"]) == (64, 48, 2, 7.0)
    assert numbers_of(kept.path) == (list(range(21)), 10.0)


@pytest.mark.parametrize("fps", [3.0, 14.2, 29.97, 120.0])
def test_the_rate_is_the_measured_one(tmp_path, fps):
    draft = draft_of(tmp_path, 30, fps, jitter=0.3 / fps)
    with open_folder(str(tmp_path)) as folder:
        kept = folder.keep(draft, "wave", "one", "camera 0")
    assert kept.fps == pytest.approx(fps, rel=0.02)
    assert numbers_of(kept.path)[1] == pytest.approx(kept.fps, abs=1e-5)
    assert kept.seconds == pytest.approx(kept.frames / kept.fps, abs=1e-3)


def test_a_log_that_a_kill_cut_off_goes_on_with_a_new_line(tmp_path):
    for cut in range(1, 60, 7):
        with open_folder(str(tmp_path)) as folder:
            folder.keep(draft_of(tmp_path), "wave", "one", "camera 0")
        before = (tmp_path / LOG).read_bytes()
        (tmp_path / LOG).write_bytes(before[:-cut])
        with open_folder(str(tmp_path)) as folder:
            folder.keep(draft_of(tmp_path), "wave", "one", "camera 0")
        lines = (tmp_path / LOG).read_bytes().split(b"\n")
        assert (tmp_path / LOG).read_bytes().startswith(before[:-cut])
        assert json.loads(lines[-2].decode())["kind"] == "clip" and lines[-1] == b""
        os.remove(str(tmp_path / LOG))


def test_a_second_recorder_is_refused(tmp_path):
    with open_folder(str(tmp_path)), pytest.raises(InputError, match="writes it"), open_folder(str(tmp_path)):
        pass
    with open_folder(str(tmp_path)):
        pass


def test_processes_that_start_at_once_lose_nothing(tmp_path):
    """Where two are let in (a file system without locks), no clip replaces another."""
    drafts = [draft_of(tmp_path, 3 + number) for number in range(6)]
    with open_folder(str(tmp_path)) as folder:
        for draft in drafts:
            draft.finish()
        context = multiprocessing.get_context("fork")
        processes = [context.Process(target=folder.place, args=(one, "wave", "one", "camera 0")) for one in drafts]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
            assert process.exitcode == 0
    files = ["wave/one_{:02d}.avi".format(number) for number in range(1, 7)]
    assert files_in(tmp_path) == [LOG] + files
    assert sorted(len(numbers_of(tmp_path / file)[0]) for file in files) == list(range(3, 9))
    assert sorted(record["file"] for record in log_of(tmp_path)) == files


@pytest.mark.parametrize("name", ["Wave", "WAVE"])
def test_a_label_that_differs_from_a_folder_by_case(tmp_path, name):
    (tmp_path / name).mkdir()
    with open_folder(str(tmp_path)) as folder:
        with pytest.raises(InputError, match=name):
            folder.check(["push", "wave"])
        folder.check([name, "push"])


def test_a_label_whose_folder_is_a_file(tmp_path):
    (tmp_path / "wave").write_text("")
    with open_folder(str(tmp_path)) as folder, pytest.raises(InputError, match="a file"):
        folder.check(["wave"])


def test_places_that_are_none(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (str(tmp_path / "file"), str(tmp_path / "file" / "x"), "", "a\0b"):
        with pytest.raises(InputError) as caught, open_folder(place):
            pass
        assert caught.value.do
    assert files_in(tmp_path) == ["file"]


def test_a_folder_that_stays_empty_goes(tmp_path):
    with open_folder(str(tmp_path / "new")):
        assert (tmp_path / "new").is_dir()
    assert not (tmp_path / "new").exists()
    with open_folder(str(tmp_path)):
        pass
    assert tmp_path.is_dir()


def test_a_file_system_without_hard_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    with open_folder(str(tmp_path)) as folder:
        for _ in range(3):
            folder.keep(draft_of(tmp_path), "wave", "one", "camera 0")
    assert files_in(tmp_path) == [LOG] + ["wave/one_{:02d}.avi".format(number) for number in (1, 2, 3)]


def test_a_clip_that_is_taken_away(tmp_path):
    with open_folder(str(tmp_path)) as folder:
        first = folder.keep(draft_of(tmp_path), "wave", "one", "camera 0")
        folder.remove(first)
        assert folder.clips == [] and files_in(tmp_path) == [LOG] and not (tmp_path / "wave").exists()
        assert folder.keep(draft_of(tmp_path), "wave", "one", "camera 0").file == first.file
    assert [record["kind"] for record in log_of(tmp_path)] == ["clip", "removed", "clip"]


def test_session_names_are_new(tmp_path):
    with open_folder(str(tmp_path)) as folder:
        first = folder.new_session()
        folder.keep(draft_of(tmp_path), "wave", first + "-1", "camera 0")
        second = folder.new_session()
        assert second != first and not second.startswith(first + "-1")


def test_drafts_of_a_killed_process_go_after_an_hour(tmp_path):
    for name, age in (("old", 3700), ("new", 10)):
        path = tmp_path / (".draft-clip-" + name + ".avi")
        path.write_bytes(b"x")
        os.utime(str(path), (time.time() - age, time.time() - age))
    with open_folder(str(tmp_path)):
        pass
    assert files_in(tmp_path) == [".draft-clip-new.avi"]


def _limited(place, size):
    """Keep clips until the disk takes no more. Ends with 3 where that is an InputError and no draft is left."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    with open_folder(place) as folder:
        folder.keep(draft_of(place, 5), "wave", "one", "camera 0")
        draft = Draft(place)
        try:
            for index in range(1000):
                draft.add(Frame(index, index / 10.0, media.grey(index, (64, 48))))
            folder.keep(draft, "wave", "one", "camera 0")
        except InputError as error:
            assert "room for a clip" in str(error)
            draft.discard()
            os._exit(3)
    os._exit(4)


@pytest.mark.parametrize("size", [6000, 20000, 100001])
def test_a_full_disk_leaves_whole_clips(tmp_path, size):
    process = multiprocessing.get_context("fork").Process(target=_limited, args=(str(tmp_path), size))
    process.start()
    process.join(60)
    assert process.exitcode == 3
    assert files_in(tmp_path) == [LOG, "wave/one_01.avi"]
    assert numbers_of(tmp_path / "wave" / "one_01.avi")[0] == list(range(5))


def test_a_clip_can_be_looked_at_before_it_is_kept(tmp_path):
    draft = draft_of(tmp_path, 6)
    assert [media.number_of(draft.picture(index)) for index in (5, 0, 3)] == [5, 0, 3]
    draft.discard()
    draft.discard()
    assert files_in(tmp_path) == []
