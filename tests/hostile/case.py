"""A case: a folder of hostile inputs, the commands that read them, and what they may answer.

A family is a module of `tests.hostile.families`. Each of its functions marked with :func:`kind` makes one kind of
input: it takes a new :class:`Case`, puts files into its folder, and adds commands. All that is random comes from
`case.random`, so a family and a seed make the same case each time.
"""

import hashlib
import os
import random
import shutil
import stat
from pathlib import Path
from typing import NamedTuple

from tests.hostile.process import Command

FREE = ("tmp", "home")  # folders beside the case's own, where a command may write but leave nothing


class Kind(NamedTuple):
    """A function that makes cases of one kind. share: how many of the family's cases it makes, in parts."""

    name: str
    make: object
    share: int


def kind(share=1):
    """Mark a function of a family that makes cases."""

    def mark(function):
        function.share = share
        return function

    return mark


def kinds_of(module):
    """Return the kinds of a family, in the order of its text."""
    functions = [value for value in vars(module).values() if hasattr(value, "share")]
    return [Kind(function.__name__, function, function.share) for function in functions]


class Case:
    """One case.

    Args:
        family: its name.
        seed: a whole number; with the family it says all.
        folder: an empty folder, which the case fills.
        assets: a :class:`tests.hostile.assets.Assets`.

    Attributes:
        description: what is hostile about it, in words.
        commands: to run, in order.
        outputs: patterns of file names that the commands may leave behind, from the case's folder.
        secrets: texts that nothing may show.
        changing: names of inputs that the commands may change.
        checks: functions called with the case and all outcomes; each returns a list of faults.
    """

    def __init__(self, family, seed, folder, assets):
        self.family, self.seed, self.assets = family, seed, assets
        self.random = random.Random("{}:{}".format(family, seed))
        self.root = Path(folder)
        self.folder = self.root / "case"
        for name in ("case", "logs", *FREE):
            (self.root / name).mkdir()
        self.description, self.kind = "", ""
        self.commands, self.outputs, self.secrets, self.changing, self.checks = [], [], [], [], []
        self._closers = []

    def say(self, text):
        """Describe what is hostile about the case."""
        self.description = (self.description + "; " if self.description else "") + text

    def run(self, *arguments, **fields):
        """Add a `tsm-edge` command; see :class:`Command` for the fields."""
        self.commands.append(Command([str(argument) for argument in arguments], **fields))

    def run_program(self, *program, **fields):
        """Add another program."""
        self.commands.append(Command(program=[str(part) for part in program], **fields))

    def write(self, name, data):
        """Write bytes, or text as UTF-8, into the folder. Returns the name."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))
        return name

    def read(self, name):
        """Return the bytes of a file of the folder."""
        return (self.folder / name).read_bytes()

    def take(self, *names):
        """Copy assets into the folder, under their own names. Returns the first name."""
        for name in names:
            source = self.assets.path(name)
            if source.is_dir():
                shutil.copytree(source, self.folder / name)
            else:
                shutil.copyfile(source, self.folder / name)
        return names[0] if names else ""

    def secret(self):
        """Return a new secret, which nothing that the commands write may hold."""
        self.secrets.append("Zq{:016x}".format(self.random.getrandbits(64)))
        return self.secrets[-1]

    def closing(self, close):
        """Call `close()` when the case is over."""
        self._closers.append(close)

    def close(self):
        """End what the case started."""
        for close in self._closers:
            close()

    def environment(self):
        """Return the variables of its commands."""
        return {
            "HOME": str(self.root / "home"),
            "TMPDIR": str(self.root / "tmp"),
            "MPLCONFIGDIR": str(self.assets.folder / "matplotlib"),
            "TSM_EDGE_CACHE": str(self.root / "home" / "cache"),
        }


def snapshot(folder):
    """Return {name from `folder`: what is there} of everything below it; links are not followed."""
    found = {}
    top = os.fsencode(str(folder))
    for parent, folders, files in os.walk(top):
        for name in folders + files:
            path = os.path.join(parent, name)
            found[os.fsdecode(os.path.relpath(path, top))] = _state(path)
    return found


def _state(path):
    info = os.lstat(path)
    if stat.S_ISLNK(info.st_mode):
        return "link", os.fsdecode(os.readlink(path))
    if not stat.S_ISREG(info.st_mode):
        return "special", stat.S_IFMT(info.st_mode)
    if info.st_blocks * 512 < info.st_size // 64:  # a sparse file of many gigabytes
        return "sparse", info.st_size
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return "file", info.st_size, digest.hexdigest()
