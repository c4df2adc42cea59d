"""Output files: refused before the work, written whole or not at all."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading

import pytest

from tsm_edge.errors import InputError
from tsm_edge.files import (
    OutputFile,
    check_apart,
    check_output,
    draft_folder,
    locked_folder,
    read_limited,
    sha256_of,
    write_whole,
)
from tsm_edge.profile import record
from tsm_edge.sources.request import read_cameras
from tsm_edge.toml_file import read_toml


@pytest.mark.parametrize("name, word", [("none/out.json", "no folder"), ("folder", "a folder")])
def test_places_for_no_file(tmp_path, name, word):
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=word):
        check_output(str(tmp_path / name))
    with pytest.raises(InputError, match=word):
        write_whole(str(tmp_path / name), "text")
    assert os.listdir(str(tmp_path)) == ["folder"]


def _link(victim, alias):
    os.symlink(victim, alias)
    return alias


def _hard_link(victim, alias):
    os.link(victim, alias)
    return alias


def _beneath_a_link(victim, alias):
    os.symlink(os.path.dirname(os.path.abspath(victim)), alias)
    return os.path.join(alias, os.path.basename(victim))


def _detour(victim, alias):
    os.mkdir(alias)
    return os.path.join(alias, os.path.relpath(os.path.dirname(victim), alias), ".", os.path.basename(victim))


ALIASES = [_link, _hard_link, _beneath_a_link, _detour, lambda victim, alias: os.path.relpath(victim)]


@pytest.mark.parametrize("seed", range(20))
def test_an_output_is_no_file_in_use_by_any_of_its_names(tmp_path, monkeypatch, seed):
    """A chain of links, hard links and detours to one of the inputs, or to a picture of a folder."""
    dice = random.Random(seed)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "frames"
    folder.mkdir()
    what = {"model.onnx": "a", "clip.mp4": "b", "frames/1.jpg": "c", "frames/2.jpg": "c"}
    for name in what:
        (tmp_path / name).write_text(name)
    taken = [(what[name], str(tmp_path / name)) for name in sorted(what)]
    taken.append(("d", str(tmp_path / "model.json")))  # is not there, but would be read
    victim = dice.choice(sorted(what))
    alias = str(tmp_path / victim)
    for number in range(dice.randint(1, 4)):
        alias = dice.choice(ALIASES)(alias, str(tmp_path / "alias{}".format(number)))
    with pytest.raises(InputError, match="the same file as " + what[victim]):
        check_apart("--save", alias, taken)
    check_apart("--save", str(tmp_path / "out.mp4"), taken)
    (folder / "other.mp4").write_text("a video beside the pictures")
    check_apart("--save", str(folder / "other.mp4"), taken)
    with pytest.raises(InputError, match="the same file as d"):
        check_apart("--jsonl", str(folder / ".." / "model.json"), taken)


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


READERS = {
    "text": lambda path: read_limited(path, 1 << 20, "a text"),
    "TOML": lambda path: read_toml(path, "a recipe"),
    "cameras": read_cameras,
    "profile": record.load,
}
NO_FILES = {
    "nothing": lambda path: None,
    "a folder": os.mkdir,
    "a named pipe": os.mkfifo,
    "a socket": lambda path: socket.socket(socket.AF_UNIX).bind(path),
    "a link to a device": lambda path: os.symlink("/dev/zero", path),
    "a link to itself": lambda path: os.symlink(path, path),
    "a file without end": lambda path: os.truncate(_touched(path), 1 << 40),  # sparse: it takes no space
}


def _touched(path):
    open(path, "w").close()
    return path


@pytest.mark.parametrize("reader", sorted(READERS))
@pytest.mark.parametrize("kind", sorted(NO_FILES))
def test_what_is_no_small_file_is_refused_before_it_is_read(tmp_path, monkeypatch, kind, reader):
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    NO_FILES[kind]("x")
    with pytest.raises(InputError, match="^x") as caught:
        READERS[reader]("x")
    assert caught.value.got and caught.value.expected and caught.value.do


@pytest.mark.parametrize("reader", sorted(READERS))
@pytest.mark.parametrize(
    "name", ["a\0b", "\0", "\ud800", "x" * 5000, "", "no/such/folder", "/dev/full", "/proc/self/mem"]
)
def test_names_of_no_file(name, reader):
    with pytest.raises(InputError):
        READERS[reader](name)


def test_a_file_of_the_largest_size(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    assert read_limited(path, 5, "a text") == b"12345"
    with pytest.raises(InputError, match="more than 4 bytes"):
        read_limited(str(path), 4, "a text")


# ---------------------------------------------------------------- files that are written bit by bit


def locked(path):
    with pytest.raises(InputError) as caught:
        OutputFile(str(path))
    assert str(path) in str(caught.value) and "writes it" in caught.value.got
    return caught.value.got


def test_an_output_keeps_what_it_holds_until_it_begins(tmp_path):
    path = tmp_path / "o"
    path.write_text("before")
    OutputFile(str(path)).close()
    assert path.read_text() == "before"
    output = OutputFile(str(path))
    os.write(output.begin(), b"af")
    os.write(output.begin(), b"ter")
    output.close()
    output.close()
    assert path.read_text() == "after"


def test_an_output_that_never_began_is_gone_and_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        output = OutputFile(str(tmp_path / "o"))
        assert os.stat(output.path).st_mode & 0o777 == 0o640
        output.close()
        assert os.listdir(str(tmp_path)) == []
        write_whole(str(tmp_path / "whole"), "text")
        assert os.stat(str(tmp_path / "whole")).st_mode & 0o777 == 0o640
    finally:
        os.umask(before)


def test_a_link_to_a_place_where_nothing_is_yet(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    output = OutputFile(str(tmp_path / "link"))
    os.write(output.begin(), b"x")
    output.close()
    assert (tmp_path / "target").read_text() == "x" and (tmp_path / "link").is_symlink()
    write_whole(str(tmp_path / "link"), "y")
    assert (tmp_path / "target").read_text() == "y" and (tmp_path / "link").is_symlink()


HOLD = """
import os, sys, time
from tsm_edge.files import OutputFile
output = OutputFile(sys.argv[1])
os.write(output.begin(), b"theirs")
print("locked", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_a_lock_names_its_process_and_ends_with_it(tmp_path, signum):
    path = tmp_path / "o"
    environment = dict(
        os.environ, PYTHONPATH=os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    )
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, env=environment)
    try:
        assert process.stdout.readline() == b"locked\n"
        os.link(str(path), str(tmp_path / "hard"))
        for name in (path, tmp_path / "hard"):
            assert locked(name) == "process {} writes it".format(process.pid)
        assert path.read_text() == "theirs"
    finally:
        process.send_signal(signum)
        process.communicate()
    output = OutputFile(str(path))
    output.begin()
    output.close()
    assert path.read_text() == ""


def test_a_folder_belongs_to_one_process_as_well(tmp_path):
    refused = pytest.raises(InputError, match="process {} writes it".format(os.getpid()))
    with locked_folder(str(tmp_path)), refused, locked_folder(str(tmp_path)):
        pytest.fail("entered")
    with locked_folder(str(tmp_path)):
        assert os.listdir(str(tmp_path)) == []
    with pytest.raises(InputError, match="No such file"), locked_folder(str(tmp_path / "none")):
        pytest.fail("entered")


def test_a_file_that_is_removed_while_it_is_written_is_not_the_next_ones(tmp_path):
    path = str(tmp_path / "o")
    first = OutputFile(path)
    first.begin()
    assert first.in_place()
    first.remove()
    assert not first.in_place()
    second = OutputFile(path)
    assert second.in_place()
    first.close()
    locked(path)
    second.close()
    assert os.listdir(str(tmp_path)) == []


def test_a_file_that_another_process_removed_before_it_was_locked(tmp_path, monkeypatch):
    """The lock is then on a file without a name, and worth nothing."""
    import fcntl

    path = str(tmp_path / "o")
    real, times = fcntl.flock, iter([True, True, False])

    def removed_first(descriptor, how):
        if next(times):
            os.remove(path)
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", removed_first)
    output = OutputFile(path)
    assert output.in_place()
    output.close()
    monkeypatch.setattr(fcntl, "flock", lambda descriptor, how: os.remove(path))
    with pytest.raises(InputError, match="create and remove"):
        OutputFile(path)


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    import errno
    import fcntl

    for number in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS):

        def refuse(descriptor, how, number=number):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "flock", refuse)
        OutputFile(str(tmp_path / "o")).close()
    monkeypatch.setattr("tsm_edge.files.fcntl", None)  # Windows
    OutputFile(str(tmp_path / "o")).close()


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800", "x" * 300, "none/o", "."])
def test_names_of_no_output(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for write in (OutputFile, check_output if len(name) < 300 else OutputFile, lambda path: write_whole(path, "x")):
        with pytest.raises(InputError):
            write(name)
    assert os.listdir(str(tmp_path)) == []


def test_many_writers_of_one_whole_file_leave_one_of_their_texts(tmp_path):
    path = str(tmp_path / "o.json")
    texts = [letter * 100000 for letter in "abcd"]
    threads = [threading.Thread(target=lambda t=t: [write_whole(path, t) for _ in range(20)]) for t in texts]
    for thread in threads:
        thread.start()
    seen = set()
    while any(thread.is_alive() for thread in threads):
        if os.path.exists(path):
            with open(path) as file:
                seen.add(file.read())
    assert seen <= set(texts) and os.listdir(str(tmp_path)) == ["o.json"]
