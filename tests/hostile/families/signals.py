"""Signals at random moments, and SIGKILL: what was written is whole, and nothing else is left."""

import signal

from tests.device.running import played
from tests.hostile.bases import BASES, LOOP
from tests.hostile.case import kind

KEYS = ("run", "run-mp4", "run-cameras", "run-folder", "profile", "compare-run", "eval-list", "eval-stream", "report")
KEYS += ("export", "verify", "train", "train-folder", "info", "doctor", "compare")
ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def moment(case, base):
    """Return when a signal comes: at any time of the command's work, in seconds."""
    return case.random.uniform(0.0, 1.5 * base.seconds)


@kind(share=12)
def one(case):
    """Send one signal at a random moment."""
    base = BASES[case.random.choice(KEYS)]
    case.take(*base.takes)
    signum, when = case.random.choice(ASKING), moment(case, base)
    case.say("{}: {} after {:.2f} s".format(base.key, signum.name, when))
    case.run(*base.line(), allowed=(*base.codes, 128 + signum), signals=[(when, signum)])
    case.outputs += base.patterns()


@kind(share=3)
def two(case):
    """Send two signals, the second one soon after the first."""
    base = BASES[case.random.choice(KEYS)]
    case.take(*base.takes)
    first, second = case.random.choice(ASKING), case.random.choice(ASKING)
    when = moment(case, base)
    case.say("{}: {} after {:.2f} s and {}".format(base.key, first.name, when, second.name))
    codes = (*base.codes, 128 + first, 128 + second)
    case.run(*base.line(), allowed=codes, signals=[(when, first), (when + case.random.uniform(0, 0.2), second)])
    case.outputs += base.patterns()


@kind(share=3)
def kill(case):
    """Kill a run that saves a video: what was written until then plays, and all lines but the last are whole."""
    case.take("tiny_custom.onnx", "tiny_custom.json", "clip.avi")
    name = case.random.choice(("o.mp4", "o.mp4", "o.mkv", "o.avi"))
    when = case.random.uniform(0.5, 3.0)
    case.say("SIGKILL after {:.2f} s, {}".format(when, name))
    line = (*LOOP, "--max-frames", "5000")
    case.run(*line, "--jsonl", "o.jsonl", "--save", name, allowed=(-9, 0), signals=[(when, signal.SIGKILL)])
    case.outputs += ["o.jsonl", name, "*.part*", ".*"]

    def check(case, outcomes):
        """A video of which much was written must play."""
        path = case.folder / name
        big = path.exists() and path.stat().st_size > 100000
        return [("half a file", name + ": does not play")] if big and played(path)[0] == 0 else []

    case.checks.append(check)


@kind()
def again_after_kill(case):
    """Kill a run, and run it again: a lock must not outlive its process."""
    case.take("tiny_custom.onnx", "tiny_custom.json", "clip.avi")
    line = ("run", "--engine", "tiny_custom.onnx", "--source", "clip.avi", "--threads", "1", "--jsonl", "o.jsonl")
    when = case.random.uniform(0.2, 1.0)
    case.say("SIGKILL after {:.2f} s, and the same run again".format(when))
    case.run(*line, "--loop", "--max-frames", "5000", allowed=(-9, 0), signals=[(when, signal.SIGKILL)])
    case.run(*line, allowed=(0,))
    case.outputs += ["o.jsonl", ".*"]


@kind(share=2)
def cold(case):
    """Send a signal to a new interpreter, from the moment at which it may run our code."""
    base = BASES[case.random.choice(("run", "profile", "info", "verify"))]
    case.take(*base.takes)
    signum, when = case.random.choice(ASKING), case.random.uniform(0.4, 2.0)
    case.say("cold {}: {} after {:.2f} s".format(base.key, signum.name, when))
    case.run(*base.line(), allowed=(*base.codes, 128 + signum), signals=[(when, signum)], cold=True)
    case.outputs += base.patterns()
