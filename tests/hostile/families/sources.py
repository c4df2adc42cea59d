"""Videos, folders, cameras and addresses that are damaged, that are none, or that carry a secret."""

import os
import struct
import zlib

import cv2
import numpy as np

from tests.device.media import MjpegServer
from tests.hostile import values
from tests.hostile.assets import FRAMES, picture
from tests.hostile.case import kind
from tests.hostile.oracle import all_frames, records_of, same_frames

MODEL = ("tiny_custom.onnx", "tiny_custom.json")
LINE = ("run", "--engine", "tiny_custom.onnx", "--threads", "1", "--jsonl", "o.jsonl")
CLOSED_PORT = "127.0.0.1:1"
# Where a container states no number of frames, the run says that it cannot know whether all came.
UNKNOWN_COUNT = ("states no", "does not state", "no count", "unknown", "cannot be checked", "may have")


@kind(share=12)
def damaged_video(case):
    """Damage a video: all of its frames are read, or the run says that they are not."""
    name = case.random.choice(("clip.avi", "clip.avi", "clip.mp4", "clip.mkv", "fast.mp4"))
    case.take(*MODEL)
    data, what = values.damaged(case.random, case.assets.path(name).read_bytes())
    case.write(name, data)
    case.say("{}: {}".format(name, what))
    case.run(*LINE, "--source", name, allowed=(0, 2))
    case.outputs.append("o.jsonl")
    case.checks.append(all_frames("o.jsonl", FRAMES, UNKNOWN_COUNT if name == "clip.mkv" else ()))


@kind(share=5)
def odd_name(case):
    """Give a good video or folder an odd name."""
    good = case.random.choice(("clip.avi", "clip.mp4", "frames"))
    name = values.file_name(case.random, os.path.splitext(good)[1])
    case.take(*MODEL, good)
    os.rename(str(case.folder / good), os.path.join(str(case.folder), name))
    case.say("{} is called {}".format(good, ascii(name)[:60]))
    typed = ("--source=" + name,) if name.startswith("-") else ("--source", name)
    if case.random.random() < 0.5:
        typed = ("--source", str(case.folder / name))
    case.run(*LINE, *typed, allowed=(0, 2), cold=case.random.random() < 0.3)
    case.outputs.append("o.jsonl")
    case.checks.append(same_frames("o.jsonl", case.assets.clean(good)))


@kind(share=3)
def no_video(case):
    """Give a pipe, a device, a socket, a text or nothing in the place of a video."""
    case.take(*MODEL)
    which = case.random.choice((*values.SPECIALS, "text", "empty", "model", "dash"))
    name = "clip" + case.random.choice((".avi", ".mp4", ".mkv", ".jpg", ".m3u8", ".sdp", ".txt", ""))
    if which in values.SPECIALS:
        values.put_special(case, name, which)
    elif which == "dash":
        name = "-"
    else:
        texts = {"text": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "empty": b"", "model": case.read(MODEL[0])}
        case.write(name, texts[which])
    case.say("{} is a {}".format(name, which))
    case.run(*LINE, "--source=" + name, allowed=(2,))
    case.outputs.append("o.jsonl")


def png(width, height, rows=1):
    """Return a PNG file of any stated size that holds a few rows of it."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packer, data = zlib.compressobj(9), b""
    row = bytes(1 + 3 * min(width, 1 << 20))
    for _ in range(rows):
        data += packer.compress(row)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data + packer.flush()) + chunk(b"IEND", b"")


@kind(share=6)
def picture_in_folder(case):
    """Put a picture that is none, a giant one, or something special among good pictures."""
    case.take(*MODEL, "frames")
    which = case.random.choice(
        (*values.SPECIALS, "giant", "wide", "claimed", "text", "empty", "cut", "other size", "grey", "16 bit", "alpha")
    )
    number = case.random.choice((0, 5, 11))
    name = "frames/{}.jpg".format(number)
    if which in values.SPECIALS:
        values.put_special(case, name, which)
    elif which in ("giant", "wide", "claimed"):
        (case.folder / name).unlink()
        sizes = {"giant": (40000, 40000, 40000), "wide": (1 << 20, 1, 1), "claimed": (2**31 - 1, 2**31 - 1, 1)}
        case.write(name.replace(".jpg", ".png"), png(*sizes[which]))
    elif which in ("grey", "16 bit", "alpha"):
        (case.folder / name).unlink()
        image = picture(number)
        image = {
            "grey": image[:, :, 0],
            "16 bit": image.astype(np.uint16) * 257,
            "alpha": np.dstack([image, image[:, :, 0]]),
        }[which]
        cv2.imwrite(str(case.folder / name.replace(".jpg", ".png")), image)
    elif which == "other size":
        cv2.imwrite(str(case.folder / name), picture(number, (64, 48)))
    else:
        data = case.read(name)
        case.write(name, {"text": b"no picture", "empty": b"", "cut": data[: len(data) // 2]}[which])
    case.say("{}: {}".format(name, which))
    gone = which in ("missing", "dangling", "loop", "folder")  # no picture of that name: the folder has 11
    case.run(*LINE, "--source", "frames", allowed=(0, 2))
    case.outputs.append("o.jsonl")
    if not gone:
        case.checks.append(all_frames("o.jsonl", 12))


@kind(share=2)
def odd_folder(case):
    """Give a folder without a picture, or one whose pictures have odd names."""
    case.take(*MODEL)
    (case.folder / "frames").mkdir()
    how = case.random.choice(("empty", "no pictures", "odd names", "many digits"))
    for index in range(0 if how == "empty" else 5):
        name = {"no pictures": "{}.txt".format(index), "many digits": "9" * 200 + str(index) + ".jpg"}.get(how)
        name = name or "{}{}".format(index, values.file_name(case.random, ".jpg")[-200:])
        cv2.imwrite(str(case.folder / "x.jpg"), picture(index))
        os.rename(str(case.folder / "x.jpg"), os.path.join(str(case.folder), "frames", name))
    case.say("a folder: " + how)
    case.run(*LINE, "--source", "frames", allowed=(0, 2) if how in ("odd names", "many digits") else (2,))
    case.outputs.append("o.jsonl")
    case.checks.append(all_frames("o.jsonl", 5))


@kind(share=3)
def camera_number(case):
    """Ask for a camera of any number."""
    case.take(*MODEL)
    number = values.number_text(case.random)
    case.say("--camera {}".format(number[:40]))
    command = case.random.choice((LINE, ("profile", "--engine", "tiny_custom.onnx")))
    case.run(*command, "--camera", number, allowed=(1, 2))
    case.outputs.append("o.jsonl")


ADDRESSES = (
    "rtsp://user:{}@" + CLOSED_PORT + "/1",
    "rtmp://user:{}@" + CLOSED_PORT + "/live/x",
    " rtsp://user:{}@" + CLOSED_PORT + "/1",
    "rtsp:/user:{}@" + CLOSED_PORT + "/1",
    "rtsp:\\\\user:{}@" + CLOSED_PORT + "\\1",
    "rtsp://{}@" + CLOSED_PORT + "/1",
    "rtsp://" + CLOSED_PORT + "/1?token={}",
    "http://" + CLOSED_PORT + "/1?x=1&access_token={}&y=2",
    "rtsp://" + CLOSED_PORT + "/user=admin&password={}&channel=1",
    "http://user:{}@" + CLOSED_PORT + "/a.mjpg",
    "HTTP://User:{}@" + CLOSED_PORT + "/a.mjpg",
    "https://user:p%40{}@" + CLOSED_PORT + "/a@b",
    "rtsps://user:a:b@{}@" + CLOSED_PORT + "/1",
    "udp://user:{}@" + CLOSED_PORT,
    "srt://" + CLOSED_PORT + "?passphrase={}",
    "http://" + CLOSED_PORT + "/v1?X-Amz-Signature={}&sig={}",
    "rtsp://user:{}@[::1]:1/x",
    "rtsp://user:{} with spaces@" + CLOSED_PORT + "/1",
    "csi://0?password={}",
    "file://user:{}@host/a.avi",
    "\trtsp://user:{}@" + CLOSED_PORT + "/1",
    "rtsp://us\x1b[31mer:{}@" + CLOSED_PORT + "/1",
    "ftp://user:{}@" + CLOSED_PORT + "/a.avi",
    "//user:{}@" + CLOSED_PORT + "/a.avi",
    "user:{}@" + CLOSED_PORT,
)


@kind(share=10)
def secret_address(case):
    """Name a source by an address with a secret in it: nothing may show the secret."""
    case.take(*MODEL)
    address = case.random.choice(ADDRESSES).replace("{}", case.secret())
    how = case.random.choice(("run", "run", "run -v", "run -vv", "profile", "eval", "cameras", "recipe", "two"))
    verbose = ("-" + how[5:],) if how.startswith("run -") else ()
    case.say("{}: {}".format(how, address))
    if how == "profile":
        case.run("profile", "--engine", "tiny_custom.onnx", "--source=" + address, "--json", "p.json", allowed=(1, 2))
    elif how == "eval":
        case.take("truth.csv")
        line = ("--engine", "tiny_custom.onnx", "--truth", "truth.csv", "-o", "e.json")
        case.run("eval", "--stream=" + address, *line, allowed=(1, 2))
    elif how == "cameras":
        case.secrets, secret = [], case.secrets[0]
        case.write("site.toml", values.toml({"camera": [{"name": "door", "source": address}]}))
        case.secrets = [secret]
        case.run(*LINE, "--cameras", "site.toml", allowed=(1, 2))
    elif how == "recipe":
        recipe = {"arch": {"name": "mobilenetv2", "num_classes": 5}, "weights": {"url": address}}
        case.write("m.toml", values.toml(recipe))
        case.run("export", "m.toml", "-o", "o.onnx", allowed=(1, 2))
    else:
        more = ("--source", "clip.avi") if how == "two" else ()
        case.take(*more[1:])
        case.run(*verbose, *LINE, *more, "--source=" + address, allowed=(1, 2))
    case.outputs.append("o.jsonl")


@kind(share=3)
def secret_stream(case):
    """Read a real stream whose address has a secret in it, and look through all that was written."""
    case.take(*MODEL)
    server = MjpegServer([400] * 4, size=(64, 48))
    server.__enter__()
    case.closing(lambda: server.__exit__(None, None, None))
    secret = case.secret()
    address = case.random.choice(
        (
            server.url + "?token=" + secret,
            server.url.replace("http://", "http://user:{}@".format(secret)),
            server.url.replace("/live.mjpg", "/user=admin&password={}&x=1".format(secret)),
        )
    )
    verbose = case.random.choice(((), ("-v",), ("-vv",)))
    case.say("a stream from {}".format(address.replace(str(server.url.split(":")[2].split("/")[0]), "PORT")))
    if case.random.random() < 0.7:
        case.run(*verbose, *LINE, "--source", address, "--save", "o.mp4", "--max-frames", "5", allowed=(0,))
    else:
        timing = (
            "--seconds",
            "0.5",
            "--warm-up",
            "0.1",
            "--cold",
            "0",
            "--no-layers",
            "--threads",
            "1",
            "--json",
            "p.json",
        )
        case.run(*verbose, "profile", "--engine", "tiny_custom.onnx", "--source", address, *timing, allowed=(0,))
        case.run("report", "p.json", "-o", "r.html", allowed=(0,))
    case.outputs += ["o.jsonl", "o.mp4", "p.json", "r.html"]


@kind()
def reconnecting_stream(case):
    """Hang up on the run, twice: each gap is told and counted, and no time stamp runs ahead of the clock."""
    case.take(*MODEL)
    server = MjpegServer([6, 6] + [400] * 8, size=(64, 48))
    server.__enter__()
    case.closing(lambda: server.__exit__(None, None, None))
    case.say("a stream that hangs up twice")
    case.run(*LINE, "--source", server.url, "--max-frames", "30", allowed=(0,))
    case.outputs.append("o.jsonl")

    def check(case, outcomes):
        if outcomes[0].fate != "exit":
            return []
        records = records_of(case.folder / "o.jsonl")
        frames, gaps = ([r for r in records if r["kind"] == word] for word in ("frame", "gap"))
        faults = []
        if not len(gaps) == records[-1]["resets"] >= 2:
            faults.append("{} gap records, {} resets".format(len(gaps), records[-1]["resets"]))
        times = [frame["time"] for frame in frames]
        if times != sorted(set(times)) or (times and times[-1] > outcomes[0].seconds + 1):
            faults.append("times {} in a run of {:.1f} s".format(times[-3:], outcomes[0].seconds))
        return [("wrong answer", fault) for fault in faults]

    case.checks.append(check)


@kind(share=2)
def csi_address(case):
    """Ask for a Jetson's camera with odd settings: no part of them may reach a GStreamer pipeline."""
    case.take(*MODEL)
    setting = "{}={}".format(
        case.random.choice(("width", "height", "fps", "flip", "x")), values.text(case.random, nul=False)
    )
    sensor = case.random.choice(("0", "-1", values.DIGITS, "0 ! filesink location=injected", "", "x"))
    case.say("csi://{}?{}".format(sensor[:30], ascii(setting)[:60]))
    case.run(*LINE, "--source", "csi://{}?{}".format(sensor, setting), allowed=(1, 2))
    case.outputs.append("o.jsonl")
