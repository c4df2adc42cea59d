"""Hostile values: numbers, texts, file names, damaged bytes, changed JSON and TOML, all from a case's random."""

import json
import math
import os
import socket

NUMBERS = (0, -1, 1, 2, 3, 7, 1000, 65536, 10**6, 2**31 - 1, 2**31, 2**32, 10**9, 10**12, 2**53, 2**63 - 1, 2**63)
NUMBERS += (2**64, 2**70, -(2**31), -(2**63), -(2**70), 10**18, 10**100, 10**400)
FLOATS = (0.0, -0.0, 0.5, 1e-9, 1e-300, 5e-324, 1e9, 1e18, 1e300, 1.7e308, -1.0, -1e300, math.nan, math.inf, -math.inf)
WORDS = (
    "",
    " ",
    "0x10",
    "1e3",
    "1_000",
    "+5",
    "00012",
    "NaN",
    "-inf",
    "--",
    "-",
    "\uff11\uff12",
    "\u0663",
    "1,5",
    "1/0",
)
DIGITS = "9" * 6000
ESCAPES = (
    "\x1b[2J\x1b[31mred",
    "\x1b]0;title\x07",
    "\x9b31m",
    "a\rb",
    "\x08\x08\x08",
    "\u202egnp.exe",
    "\u2066x\u2069",
    "line\nnext",
    "tab\tnext",
    "\x00" + "nul",
    "\x7f",
    "\u2028",
)
ODD_TEXTS = (
    "{0}",
    "{0.__class__}",
    "%s%n%d",
    "$(touch injected)",
    "`touch injected`",
    "'; touch injected; '",
    "\U0001f600",
)
ODD_TEXTS += (
    "\u00fc\u4e2d\u6587",
    "a" * 5000,
    "<script>alert(1)</script>",
    "../../../../etc/passwd",
    "\\",
    '"',
    ",",
    "=",
    "None",
)


def number(random):
    """Return a whole number or a float of any size."""
    return random.choice(NUMBERS if random.random() < 0.6 else FLOATS)


def number_text(random):
    """Return what a user could type for a number: of any size, or no number at all."""
    chosen = random.random()
    if chosen < 0.5:
        return str(random.choice(NUMBERS))
    if chosen < 0.75:
        return repr(random.choice(FLOATS))
    if chosen < 0.9:
        return random.choice(WORDS)
    return random.choice((DIGITS, "-" + DIGITS, "0." + DIGITS, "1e" + DIGITS[:9]))


def text(random, nul=True):
    """Return an odd text. nul: whether it may hold NUL, which no argument of a command can."""
    while True:
        found = random.choice(ESCAPES + ODD_TEXTS + WORDS)
        if random.random() < 0.2:
            found = "x" + found + "y"
        if nul or "\0" not in found:
            return found


def file_name(random, suffix):
    """Return an odd name of a file, which a file system takes."""
    names = [t.replace("/", "_").replace("\0", "") for t in ESCAPES + ODD_TEXTS if len(t) < 200]
    names += ["-rf", "--help", "a b", "%03d", "clip%d", "\udcff\udcfe", "x\udc80y", "rtsp:", "pipe:0", "con,subfile,,:"]
    names += ["n" * (255 - len(suffix)), "~", "*", ".hidden", "\u00e9", "a\\b", "concat:a|b", "data:,x", "fd:", "http:"]
    return (random.choice(names) or "x") + suffix


def value(random, depth=0):
    """Return any value that JSON can hold."""
    chosen = random.randrange(10)
    if chosen < 4:
        return number(random)
    if chosen < 6:
        return text(random)
    if chosen == 6:
        return random.choice((None, True, False))
    if chosen == 7 and depth < 3:
        return [value(random, depth + 1) for _ in range(random.randrange(4))]
    if chosen == 8 and depth < 3:
        return {text(random): value(random, depth + 1) for _ in range(random.randrange(3))}
    return random.choice(([], {}, [0] * 1000, "\ud800", [[[[[]]]]]))


def paths(tree, start=()):
    """Return the path of every value inside lists and dicts."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    found = []
    for key, item in items:
        found += [(*start, key), *paths(item, (*start, key))]
    return found


def get(tree, path):
    """Return the value at a path."""
    for key in path:
        tree = tree[key]
    return tree


def put(tree, path, new):
    """Set the value at a path."""
    get(tree, path[:-1])[path[-1]] = new


def changed_tree(random, tree):
    """Change one value of a tree of dicts and lists: replace it, take it out, or add one. Returns a description."""
    every = paths(tree)
    shallow = [path for path in every if len(path) <= 2]
    path = random.choice(shallow if random.random() < 0.5 else every)
    chosen = random.random()
    if chosen < 0.8:
        new = value(random)
        put(tree, path, new)
        return "{} = {}".format(".".join(map(str, path)), ascii(new)[:60])
    parent = get(tree, path[:-1])
    if chosen < 0.9:
        del parent[path[-1]]
        return "no {}".format(".".join(map(str, path)))
    if isinstance(parent, dict):
        parent[text(random)] = value(random)
    else:
        parent.append(value(random))
    return "one more beside {}".format(".".join(map(str, path)))


def toml(tree):
    """Return a dict as TOML. Texts have all characters outside ASCII as escapes; a surrogate makes invalid TOML."""
    lines = []
    for key, item in tree.items():
        if isinstance(item, dict):
            continue
        if isinstance(item, list) and item and all(isinstance(part, dict) for part in item):
            continue
        lines.append("{} = {}".format(json.dumps(str(key)), _literal(item)))
    for key, item in tree.items():
        if isinstance(item, dict):
            lines += ["[{}]".format(json.dumps(str(key)))]
            lines += ["{} = {}".format(json.dumps(str(name)), _literal(part)) for name, part in item.items()]
        elif isinstance(item, list) and item and all(isinstance(part, dict) for part in item):
            for part in item:
                lines += ["[[{}]]".format(json.dumps(str(key)))]
                lines += ["{} = {}".format(json.dumps(str(name)), _literal(inner)) for name, inner in part.items()]
    return "\n".join(lines) + "\n"


def _literal(item):
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, float):
        return {"nan": "nan", "inf": "inf", "-inf": "-inf"}.get(repr(item), repr(item))
    if isinstance(item, dict):
        return "{" + ", ".join("{} = {}".format(json.dumps(str(k)), _literal(v)) for k, v in item.items()) + "}"
    if isinstance(item, (list, tuple)):
        return "[" + ", ".join(map(_literal, item)) + "]"
    return json.dumps(item) if isinstance(item, str) else "1979-05-27T07:32:00Z" if item is None else str(item)


def flipped(random, data, count=1, start=0, stop=None):
    """Return bytes with `count` bits flipped between two offsets, and a description."""
    data, stop = bytearray(data), len(data) if stop is None else stop
    places = [(random.randrange(start, stop), random.randrange(8)) for _ in range(count)]
    for at, bit in places:
        data[at] ^= 1 << bit
    return bytes(data), "bits flipped at " + ", ".join("{}.{}".format(*place) for place in places[:4])


def damaged(random, data):
    """Return bytes that are damaged somewhere, and a description."""
    size = len(data)
    at, length = random.randrange(size), random.choice((1, 16, 500, size // 10 + 1, size // 3 + 1))
    how = random.choice(("cut", "cut", "zeros", "noise", "removed", "inserted", "bits", "bits", "head", "tail"))
    if how == "cut":
        return data[:at], "cut off after {} of {} bytes".format(at, size)
    if how == "zeros":
        return data[:at] + bytes(len(data[at : at + length])) + data[at + length :], "{} zeros at {}".format(length, at)
    if how == "noise":
        noise = bytes(random.randrange(256) for _ in range(min(length, size - at)))
        return data[:at] + noise + data[at + length :], "{} random bytes at {}".format(length, at)
    if how == "removed":
        return data[:at] + data[at + length :], "{} bytes removed at {}".format(length, at)
    if how == "inserted":
        return data[:at] + data[:length] + data[at:], "{} bytes inserted at {}".format(length, at)
    if how == "head":
        return flipped(random, data, random.randint(1, 4), 0, min(size, 400))
    if how == "tail":
        return flipped(random, data, random.randint(1, 4), max(0, size - 400), size)
    return flipped(random, data, random.choice((1, 1, 3, 20)))


def spoiled_text(random, data):
    """Return the bytes of a text file made hostile, and a description."""
    at = random.randrange(len(data) + 1)
    spoilers = {
        "empty": b"",
        "no UTF-8": data[:at] + b"\xff\xfe\x80" + data[at:],
        "NUL": data[:at] + b"\0" + data[at:],
        "UTF-16": data.decode("utf-8").encode("utf-16"),
        "a byte order mark": b"\xef\xbb\xbf" + data,
        "6000 digits": data[:at] + DIGITS.encode() + data[at:],
        "deep lists": b"[" * 200000,
        "deep lists in it": data[:at] + b"[" * 100000 + b"]" * 100000 + data[at:],
        "deep objects": b'{"a":' * 100000,
        "deep keys": b"a." * 100000 + b"a = 1",
        "twice": data + data,
        "a long line": data[:at] + b"a" * 3000000 + data[at:],
        "an escape code": data[:at] + b"\x1b[31m" + data[at:],
        "noise": bytes(random.randrange(256) for _ in range(300)),
        "old line ends": data.replace(b"\n", b"\r"),
        "many lines": data + b"\n".join(data.splitlines()[-1:] * 30000),
    }
    name = random.choice(sorted(spoilers) + ["damage"] * 4)
    return damaged(random, data or b"x") if name == "damage" else (spoilers[name], name)


SPECIALS = ("folder", "fifo", "zero", "full", "null", "dangling", "loop", "socket", "sparse", "memory", "missing")


def put_special(case, name, which):
    """Put something that is no ordinary file in the place of a file of the case."""
    path = case.folder / name
    if path.is_dir() and not path.is_symlink():
        case.changing += [str(below.relative_to(case.folder)) for below in path.rglob("*")]
        import shutil

        shutil.rmtree(str(path))
    elif path.exists() or path.is_symlink():
        path.unlink()
    targets = {"zero": "/dev/zero", "full": "/dev/full", "null": "/dev/null", "dangling": "nowhere", "loop": path.name}
    targets["memory"] = "/proc/self/mem"
    if which in targets:
        path.symlink_to(targets[which])
    elif which == "folder":
        path.mkdir()
    elif which == "fifo":
        os.mkfifo(str(path))
    elif which == "socket":
        end = socket.socket(socket.AF_UNIX)
        here = os.getcwd()  # an address of a socket holds at most 107 bytes
        link = "/tmp/tsm-edge-hostile-{}-{}".format(os.getpid(), case.random.getrandbits(40))
        os.symlink(str(path.parent), link)
        try:
            end.bind("{}/{}".format(link, path.name))
        finally:
            os.unlink(link)
            end.close()
        assert os.getcwd() == here
    elif which == "sparse":
        with open(str(path), "wb") as file:
            file.truncate(40 << 30)
