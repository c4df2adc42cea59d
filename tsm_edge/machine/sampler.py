"""Facts about the machine and this process that a profile records, from /proc; None where it does not say."""

import mmap
import platform
import re
import threading
import time

from tsm_edge.machine.sensors import Sensors
from tsm_edge.machine.system_files import read_text

PERIOD = 0.1  # seconds between two samples of memory and processor time
SENSOR_PERIOD = 1.0  # reading a power rail costs an exchange on the I2C bus
MOST_SAMPLES = 600
_PAGE = mmap.PAGESIZE


def cpu_name(root="/"):
    """The processor as it names itself; an Arm one gives the numbers of its implementer and part."""
    text = read_text(root, "proc/cpuinfo")
    named = re.search(r"^(?:model name|Hardware|Processor)\s*:\s*(.+)", text, re.MULTILINE)
    if named:
        return named.group(1).strip()
    arm = [re.search(r"^CPU {}\s*:\s*(\S+)".format(key), text, re.MULTILINE) for key in ("implementer", "part")]
    if all(arm):
        return "Arm implementer {}, part {}".format(*(match.group(1) for match in arm))
    return platform.processor() or platform.machine()


def resident(root="/"):
    """(resident bytes now, the most so far) of this process."""
    text = read_text(root, "proc/self/status")
    found = [re.search(r"^{}:\s+(\d+) kB".format(key), text, re.MULTILINE) for key in ("VmRSS", "VmHWM")]
    return tuple(int(match.group(1)) * 1024 if match else None for match in found)


def resident_now(root="/"):
    """Resident bytes of this process: a tenth of the work of `resident`, for sampling."""
    words = read_text(root, "proc/self/statm").split()
    return int(words[1]) * _PAGE if len(words) > 1 else None


def busy_seconds(root="/"):
    """Processor seconds that the whole machine has been busy since it started (user_hz 100, as on every Linux here)."""
    words = read_text(root, "proc/stat").split("\n")[0].split()
    if len(words) < 9 or words[0] != "cpu":
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(word) for word in words[1:9])
    return (user + nice + system + irq + softirq + steal) / 100.0


class Sampler:
    """Reads memory, processor load and the board's sensors beside a run, in a thread of its own.

    root: the folder that stands for "/". Memory does not grow: of too many samples every second one is dropped.
    `begin` forgets what came before; use it where the measurement starts.
    """

    def __init__(self, root="/"):
        self._root = root
        self._sensors = Sensors(root)
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="tsm-edge-sampler", daemon=True)
        self.begin()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._over.set()
        self._thread.join()

    def begin(self):
        reading = self._sensors.read()
        with self._lock:
            self._began, self._period = time.perf_counter(), PERIOD
            self._rows, self._readings = [], [reading]
            self._first_load = self._load()
            self._last = (self._began, self._first_load)

    def _load(self):
        return time.process_time(), busy_seconds(self._root)

    def _run(self):
        due = time.perf_counter() + SENSOR_PERIOD
        while not self._over.wait(self._period):
            now = time.perf_counter()
            reading = None
            if now >= due:
                reading, due = self._sensors.read(), now + SENSOR_PERIOD
            self._sample(now, reading)

    def _sample(self, now, reading):
        memory = resident_now(self._root)
        with self._lock:
            if reading is not None:
                self._readings.append(reading)
            else:
                reading = self._readings[-1]
            load = self._load()
            (before, last), self._last = self._last, (now, load)
            wall = max(now - before, 1e-9)
            temperatures = reading["temperatures"].values()
            clocks = [value for name, value in reading["clocks"].items() if name.startswith("cpu")]
            self._rows.append(
                (
                    now - self._began,
                    memory,
                    (load[0] - last[0]) / wall,
                    max(temperatures) if temperatures else None,
                    max(clocks) if clocks else None,
                )
            )
            if len(self._rows) > MOST_SAMPLES:
                del self._rows[::2]
                self._period *= 2

    def finish(self):
        """(columns, rows, readings, (process, others) processors busy) since `begin`."""
        reading = self._sensors.read()
        now = time.perf_counter()
        self._sample(now, reading)
        with self._lock:
            wall = now - self._began
            process, busy = self._load()
            process -= self._first_load[0]
            others = None
            if busy is not None and self._first_load[1] is not None:
                others = max(0.0, busy - self._first_load[1] - process) / wall
            columns = ("resident bytes", "processors busy", "hottest C", "fastest CPU MHz")
            return columns, tuple(self._rows), list(self._readings), (process / wall, others)


def throttling(readings):
    """Names of what slowed the board down in any of the `readings` of Sensors, and events counted between them."""
    names = {name for reading in readings for name in reading["throttling"]}
    for name, count in readings[-1]["events"].items():
        if count > readings[0]["events"].get(name, count):
            names.add("{} (under-voltage or over-current)".format(name))
    return tuple(sorted(names))


def spread(readings, kind):
    """{sensor: [least, mean, most]} over the `readings`. kind: "temperatures", "clocks" or "power"."""
    names = sorted({name for reading in readings for name in reading[kind]})
    out = {}
    for name in names:
        values = [reading[kind][name] for reading in readings if name in reading[kind]]
        out[name] = [min(values), sum(values) / len(values), max(values)]
    return out
