"""Facts about the machine and this process that a profile records, from /proc; None where it does not say."""

import mmap
import platform
import threading
import time
from typing import Any, Dict, List, Optional, Sequence, Tuple

from tsm_edge.machine.sensors import Sensors
from tsm_edge.machine.system_files import number_of, read_text, search
from tsm_edge.text import one_line

PERIOD = 0.1  # seconds between two samples of memory and processor time
SENSOR_PERIOD = 1.0  # seconds: reading a power rail costs an exchange on the I2C bus
MAX_SAMPLES = 600
COLUMNS = ("resident bytes", "processors busy", "hottest C", "fastest CPU MHz")


Load = Tuple[float, Optional[float]]  # processors kept busy by this process, by all others (None where unknown)


def cpu_name(root: str = "/") -> str:
    """Return the processor's own name; of an Arm processor the numbers of its implementer and part."""
    text = read_text(root, "proc/cpuinfo")
    named = search(r"^(?:model name|Hardware|Processor)\s*:\s*(.+)", text)
    if named:
        return one_line(named.strip()[:100])
    arm = [search(r"^CPU {}\s*:\s*(\S+)".format(key), text) for key in ("implementer", "part")]
    if all(arm):
        return "Arm implementer {}, part {}".format(*arm)
    return platform.processor() or platform.machine()


def resident(root: str = "/") -> Tuple[Optional[int], Optional[int]]:
    """Return this process's resident bytes, now and at the most so far."""
    text = read_text(root, "proc/self/status")
    now, peak = (search(r"^{}:\s+([0-9]{{1,15}}) kB".format(key), text) for key in ("VmRSS", "VmHWM"))
    return (int(now) * 1024 if now else None, int(peak) * 1024 if peak else None)


def resident_now(root: str = "/") -> Optional[int]:
    """Return this process's resident bytes; a tenth of the work of :func:`resident`."""
    words = read_text(root, "proc/self/statm").split()
    pages = number_of(words[1]) if len(words) > 1 else None
    return None if pages is None else int(pages) * mmap.PAGESIZE


def busy_seconds(root: str = "/") -> Optional[float]:
    """Return how many processor seconds the whole machine has been busy since its start (in /proc/stat: hundredths)."""
    words = read_text(root, "proc/stat").split("\n")[0].split()
    if len(words) < 9 or words[0] != "cpu":
        return None
    times = [number_of(word) for word in words[1:9]]
    if None in times:
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = (time or 0.0 for time in times)
    return (user + nice + system + irq + softirq + steal) / 100.0


class Sampler:
    """Samples memory, processor load and the board's sensors during a run, in a separate thread.

    Its memory does not grow: of more than MAX_SAMPLES samples every second one is dropped.
    """

    def __init__(self, root: str = "/") -> None:
        self._root = root
        self._sensors = Sensors(root)
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="tsm-edge-sampler", daemon=True)
        self.begin()

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *exc: Any) -> None:
        self._over.set()
        self._thread.join()

    def begin(self) -> None:
        """Start the measurement: forget all earlier samples."""
        reading = self._sensors.read()
        with self._lock:
            self._began, self._period = time.perf_counter(), PERIOD
            self._rows = []  # type: List[Tuple[Any, ...]]
            self._readings = [reading]
            self._first_load = self._load()
            self._last = (self._began, self._first_load)

    def _load(self) -> Tuple[float, Optional[float]]:
        return time.process_time(), busy_seconds(self._root)

    def _run(self) -> None:
        due = time.perf_counter() + SENSOR_PERIOD
        while not self._over.wait(self._period):
            now, reading = time.perf_counter(), None
            if now >= due:
                reading, due = self._sensors.read(), now + SENSOR_PERIOD
            self._sample(now, reading)

    def _sample(self, now: float, reading: Optional[Dict[str, Any]]) -> None:
        memory = resident_now(self._root)
        with self._lock:
            self._readings += [] if reading is None else [reading]
            latest = self._readings[-1]
            load = self._load()
            (before, last), self._last = self._last, (now, load)
            wall = max(now - before, 1e-9)
            hottest = max(latest["temperatures"].values(), default=None)
            clock = max((mhz for name, mhz in latest["clocks"].items() if name.startswith("cpu")), default=None)
            self._rows.append((now - self._began, memory, (load[0] - last[0]) / wall, hottest, clock))
            if len(self._rows) > MAX_SAMPLES:
                del self._rows[::2]
                self._period *= 2

    def finish(self) -> Tuple[Tuple[str, ...], Tuple[Tuple[Any, ...], ...], List[Dict[str, Any]], Load]:
        """Take a last sample. Return all since `begin`: COLUMNS, rows, readings of :class:`Sensors`, load.

        A row holds its seconds since `begin`, then a value for each column.
        """
        reading = self._sensors.read()
        now = time.perf_counter()
        self._sample(now, reading)
        with self._lock:
            wall = now - self._began
            (process_begin, busy_begin), (process_end, busy_end) = self._first_load, self._load()
            process, others = process_end - process_begin, None
            if busy_begin is not None and busy_end is not None:
                others = max(0.0, busy_end - busy_begin - process) / wall
            return COLUMNS, tuple(self._rows), list(self._readings), (process / wall, others)


def throttling(readings: Sequence[Dict[str, Any]]) -> Tuple[str, ...]:
    """Return the names of all that slowed the board down during some `readings` of Sensors."""
    names = {name for reading in readings for name in reading["throttling"]}
    for name, count in readings[-1]["events"].items():
        if count > readings[0]["events"].get(name, count):
            names.add("{} (under-voltage or over-current)".format(name))
    return tuple(sorted(names))


def spread(readings: Sequence[Dict[str, Any]], kind: str) -> Dict[str, List[float]]:
    """Return {sensor: [minimum, mean, maximum]} over the `readings`, for "temperatures", "clocks" or "power"."""
    found = {}
    for name in sorted({name for reading in readings for name in reading[kind]}):
        values = [reading[kind][name] for reading in readings if name in reading[kind]]
        found[name] = [min(values), sum(values) / len(values), max(values)]
    return found
