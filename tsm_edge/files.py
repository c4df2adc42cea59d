"""Output files, checked before the work begins and written whole or not at all. Small input files, and SHA-256."""

import contextlib
import csv
import errno
import hashlib
import os
import stat
import tempfile
import uuid
from typing import Any, Iterator, List, Optional, Sequence, Tuple, Union

from tsm_edge.errors import InputError

try:
    import fcntl
except ImportError:  # Windows: outputs are not locked there
    fcntl = None  # type: ignore[assignment]

LOCK_TRIES = 10  # a file may be removed between its opening and its locking, so that another one has its name
F_SETPIPE_SZ = 1031  # of Linux; Python names it since 3.10
EMPTY_NAME = "an empty name: an unset variable?"
_FREE, _TAKEN = "name another file, or free space or rights there", (errno.EWOULDBLOCK, errno.EACCES)


def unwritable(path: str, reason: Union[OSError, str]) -> InputError:
    """Return the error for an output that cannot be written."""
    if isinstance(reason, OSError):
        reason = reason.strerror or str(reason)
    return InputError(path or "an output", reason, "a file that can be written", _FREE)


def check_output(path: str) -> None:
    """Raise InputError where `path` is no place for a file. Creates and changes nothing."""
    try:
        if not path or b"\0" in os.fsencode(path):
            raise unwritable(path, "a name with a NUL character" if path else EMPTY_NAME)
    except UnicodeEncodeError as error:
        raise unwritable(path, "a name that no file can have ({})".format(error.reason)) from error
    folder = os.path.dirname(path) or "."
    if os.path.isdir(path):
        raise unwritable(path, "a folder")
    if not os.path.isdir(folder):
        raise unwritable(path, "no folder {}".format(folder))
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise unwritable(path, "no permission to write there")


def check_apart(name: str, path: str, taken: Sequence[Tuple[str, str]]) -> None:
    """Raise InputError where an output is one of the files in use, by whatever name: a link, a hard link, a detour.

    Args:
        name: the output's option.
        path: of the output.
        taken: (what, path) of the files in use.
    """
    status, place = _status(path), os.path.realpath(path)
    for what, other in taken:
        there = _status(other)
        if status is not None and there is not None:
            same = os.path.samestat(status, there)
        else:  # two files that are not there yet are the same where both paths lead to the same place
            same = status is there and place == os.path.realpath(other)
        if same:
            got = "the same file as {}".format(what)
            raise InputError("{} {}".format(name, path), got, "a file of its own", "name another file")


def _status(path: str) -> Optional[os.stat_result]:
    try:
        return os.stat(path)
    except (OSError, ValueError):
        return None


class OutputFile:
    """A file that is written bit by bit, by this process alone: opened and locked at once, emptied by `begin`.

    So a run that is refused has destroyed nothing, and two runs never mix. The lock is flock's: it ends with the
    process and with those that inherited the descriptor, however they end. NFS on Linux has it too; a file system
    without locks, and Windows, go without. Devices and pipes are neither locked nor emptied.

    Args:
        path: of the file.

    Attributes:
        path: as given.
        descriptor: of the file, which appends.
        regular: whether it is a file on a disk, so that it can be read back, cut and removed.

    Raises:
        InputError: the path cannot be written, or another process writes it.
    """

    def __init__(self, path: str) -> None:
        check_output(path)
        self.path = path
        self._begun = False
        self.descriptor, self._created = _open_locked(path)
        self.regular = stat.S_ISREG(os.fstat(self.descriptor).st_mode)

    def begin(self) -> int:
        """Empty the file, the first time. Returns the descriptor. Raises InputError where that cannot be."""
        if not self._begun and self.regular:
            try:
                os.ftruncate(self.descriptor, 0)
            except OSError as error:
                raise unwritable(self.path, error) from error
        self._begun = True
        return self.descriptor

    def size(self) -> int:
        """Return the bytes of the file."""
        return os.fstat(self.descriptor).st_size

    def in_place(self) -> bool:
        """Return whether the path still names this file."""
        return _names(self.path, self.descriptor)

    def remove(self) -> None:
        """Take the file away, where there is one on a disk. The lock is kept until `close`."""
        if self.regular and self.in_place():
            os.remove(os.path.realpath(self.path))

    def close(self) -> None:
        """Close the file; one that was created here and never begun is removed. May be called more than once.

        Raises InputError where the file system reports only here that a write failed (NFS).
        """
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor < 0:
            return
        try:
            if self._created and not self._begun and _names(self.path, descriptor):
                os.remove(os.path.realpath(self.path))
        finally:
            try:
                os.close(descriptor)
            except OSError as error:
                raise unwritable(self.path, error) from error


def _open_locked(path: str) -> Tuple[int, bool]:
    """Return (descriptor, whether the file was created) of a file that this process alone writes."""
    flags = os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0)
    for _ in range(LOCK_TRIES):
        # The target of a link that leads nowhere yet; a device such as /dev/stdout is no path when it is resolved.
        there = os.path.exists(path)
        create = 0 if there else os.O_CREAT | os.O_EXCL
        try:
            descriptor = os.open(path if there else os.path.realpath(path), flags | create, 0o666)
        except (FileExistsError, FileNotFoundError):  # created or removed since
            continue
        except OSError as error:
            raise unwritable(path, error) from error
        try:
            _lock(path, descriptor)
            if _names(path, descriptor):
                return descriptor, not there
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise unwritable(path, "other processes create and remove this file")


@contextlib.contextmanager
def locked_folder(path: str) -> Iterator[None]:
    """Keep a folder for the files of this process alone. Raises InputError where another process has it.

    The lock is that of :class:`OutputFile`, on the folder itself.
    """
    if fcntl is None:
        yield
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        _lock(path, descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(path: str, descriptor: int) -> None:
    mode = os.fstat(descriptor).st_mode
    if fcntl is None or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            holder = _lock_holder(descriptor)
            got = "another process writes it" if holder is None else "process {} writes it".format(holder)
            do = "name another one, or end that process"
            raise InputError(path, got, "an output that no other process writes", do) from error
        # Any other error (ENOLCK, ENOTSUP, EINVAL; EBADF for a folder on NFS): a file system without such locks.


def _lock_holder(descriptor: int, locks: str = "/proc/locks") -> Optional[int]:
    """Return the number of the process that has locked a file; None where the system does not say."""
    status = os.fstat(descriptor)
    file = "{:02x}:{:02x}:{}".format(os.major(status.st_dev), os.minor(status.st_dev), status.st_ino)
    try:
        with open(locks, encoding="ascii") as lines:
            for line in lines:  # "1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF"
                fields = line.split()
                if len(fields) == 8 and fields[5] == file and fields[4].isdigit() and int(fields[4]) > 0:
                    return int(fields[4])
    except (OSError, ValueError):
        pass
    return None


def _names(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except (OSError, ValueError):
        return False


def write_whole(path: str, text: str) -> None:
    """Write `text` to `path`, whole or not at all. Raises InputError where that cannot be.

    Two processes that do so need no lock: each replaces the file, and the last one stands.
    """
    check_output(path)
    if os.path.exists(path) and not os.path.isfile(path):  # /dev/stdout, a named pipe
        try:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise unwritable(path, error) from error
        return
    target = os.path.realpath(path)  # a link stays a link
    draft = os.path.join(os.path.dirname(target), ".draft-{}".format(uuid.uuid4().hex))
    try:
        with open(draft, "x", encoding="utf-8") as file:
            file.write(text)
        os.replace(draft, target)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            os.remove(draft)


@contextlib.contextmanager
def draft_folder(output: str) -> Iterator[str]:
    """Make a new folder beside `output` that is gone at the end; what is finished there is moved into place.

    Raises InputError, before the work, for a place that cannot be written.
    """
    try:
        if os.path.isdir(output):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        parent = os.path.dirname(os.path.abspath(output))
        os.makedirs(parent, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=".draft-") as folder:
            yield folder
    except OSError as error:
        got = error.strerror or str(error)
        raise InputError(output, got, "a place that can be written", "give another -o, or make room") from error


def sha256_of(path: str) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def read_limited(path: Any, limit: int, what: str, do: str = "check the path and its permissions") -> bytes:
    """Return the bytes of a regular file, without reading more than `limit` of them.

    Args:
        path: of the file.
        limit: the most bytes that such a file may have.
        what: the kind of file, for messages: "a recipe".
        do: for messages, where the file is missing or of another kind.

    Raises:
        InputError: no such file, a larger one, a name that no file can have, or a folder, a device or a named pipe.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # a named pipe must not block
    try:
        descriptor = os.open(path, flags)
        try:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise InputError(path, "a folder" if stat.S_ISDIR(mode) else "a device or a named pipe", what, do)
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(limit + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise InputError(path, error.strerror or str(error), what, do) from error
    except ValueError as error:  # a NUL character
        raise InputError(path, "a name that no file can have ({})".format(error), what, do) from error
    if len(data) > limit:
        expected = "{} of at most {:.1f} MB".format(what, limit / 1e6)
        raise InputError(path, "more than {} bytes".format(limit), expected, "give another file")
    return data


def read_text(path: Any, limit: int, what: str) -> str:
    """Return the text of a UTF-8 file, with or without a byte order mark.

    Raises InputError as `read_limited` does, and for bytes that are no UTF-8 and NUL characters.
    """
    try:
        text = read_limited(path, limit, what).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(path, "bytes that are no UTF-8", what, "save it as UTF-8") from None
    if "\0" in text:
        raise InputError(path, "NUL characters", what, "save it as UTF-8")
    return text


def csv_rows(path: Any, text: str) -> Iterator[Tuple[str, List[str]]]:
    """Yield (file and line, for messages; the cells) of each row of a CSV text; at least one row, maybe an empty one.

    Raises InputError for a line that is no CSV.
    """
    rows = csv.reader(text.splitlines())
    try:
        for cells in rows:
            yield "{}: line {}".format(path, rows.line_num), [cell.strip() for cell in cells]
    except csv.Error as error:  # a cell of more than 128 kB
        where = "{}: line {}".format(path, rows.line_num)
        raise InputError(where, error, "a CSV file", "correct the line") from None
    if not rows.line_num:
        yield "{}: line 1".format(path), []


def prepare_pipe(pipe: int, capacity: int) -> None:
    """Let no write to a pipe block, and give it room for `capacity` bytes where the system can (Linux)."""
    os.set_blocking(pipe, False)
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe, F_SETPIPE_SZ, capacity)
