"""Clocks, temperatures, power rails and throttling of a board, from sysfs. What is not there is left out.

Temperatures and processor clocks come from any Linux, the rest from a Jetson. Only root may read the memory clock.
Sources: NVIDIA, Jetson Linux Developer Guide, "Power Management for Jetson Nano" (L4T 32.7) and "Jetson Orin Nano
Series, ..." (L4T 35, 36); the kernel's Documentation/ABI/testing/sysfs-class-thermal and hwmon/ina3221.rst.
"""

import glob
import os
import re
from typing import Any, Dict, Iterable, List, Optional, Tuple

from tsm_edge.machine.system_files import number_of, text_of
from tsm_edge.text import one_line

GPU_DEVFREQ = re.compile(r"\.(gpu|gv11b|gp10b|ga10b)$|^gpu-gpc-0$")  # Nano, Xavier, TX2, Orin (L4T 35), Thor
# The memory's clock in Hz: BPMP's (Xavier and later), the Nano's. In debugfs, which only root may read.
EMC_RATES = ("debug/bpmp/debug/clk/emc/rate", "debug/clk/override.emc/clk_rate", "debug/clk/emc/clk_rate")
NOT_THROTTLING = ("fan", "hot-surface")  # cooling devices that slow nothing down
MAX_NAME = 100  # characters
MAX_VALUE = 1e15
NO_SENSOR = ("PMIC-Die",)  # of the Nano: always reads 100 degrees


class Sensors:
    """The sensor files of a machine below `root`, found once and read as often as wanted: about 20 on a Jetson.

    Each power rail costs an exchange on the I2C bus: read once a second, not once a frame.
    """

    def __init__(self, root: str = "/") -> None:
        self._root = root
        self._zones = self._named("sys/class/thermal/thermal_zone[0-9]*", "type", "temp")
        self._coolers = self._named("sys/class/thermal/cooling_device[0-9]*", "type", "cur_state")
        self._cpus = self._glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq")
        devices = self._glob("sys/class/devfreq/*")
        self._gpu = next((path for path in devices if GPU_DEVFREQ.search(os.path.basename(path))), None)
        self._emc = next((path for rate in EMC_RATES for path in self._glob("sys/kernel/" + rate)), None)
        self._rails = self._iio_rails() + self._hwmon_rails()
        self._events = self._glob("sys/class/hwmon/hwmon*/oc[0-9]_event_cnt")
        self._fans = self._glob("sys/devices/pwm-fan/cur_pwm") + self._glob("sys/class/hwmon/hwmon*/pwm1")

    def read(self) -> Dict[str, Any]:
        """Read all sensors. Returns JSON values: each of these keys, below it the sensors that answered.

        temperatures: degrees Celsius by thermal zone. clocks: MHz by "cpu0", ..., "gpu", "memory".
        power: mW, voltage: V by rail; "POM_5V_IN" (Nano) and "VDD_IN" (Orin) are the whole module.
        gpu_load: 0 to 1, None where unknown. fan: 0 to 255, None where there is none.
        throttling: names of what slows the board down now: active cooling devices, rails over a current limit.
        events: times that the board was slowed by under-voltage or over-current since it started, by "oc1", ...
        """
        load = None if self._gpu is None else _number(os.path.join(self._gpu, "device/load"))
        return {
            "temperatures": self._temperatures(),
            "clocks": self._clocks(),
            "power": self._power(),
            "voltage": _present((rail["name"], _number(rail["millivolt"], 1e-3)) for rail in self._rails),
            "gpu_load": None if load is None else load / 1000.0,
            "fan": next((value for value in map(_number, self._fans) if value is not None), None),
            "throttling": self._throttling(),
            "events": _present((os.path.basename(path)[:3], _number(path)) for path in self._events),
        }

    def _temperatures(self) -> Dict[str, float]:
        found = _present((name, _number(path)) for name, path in self._zones if name not in NO_SENSOR)
        # A zone that is switched off reads -256 degrees.
        return {name: value / 1000.0 for name, value in found.items() if value > -100000}

    def _clocks(self) -> Dict[str, float]:
        clocks = [(path.split("/")[-3], _number(path, 1e-3)) for path in self._cpus]  # kHz
        if self._gpu is not None:
            clocks.append(("gpu", _number(os.path.join(self._gpu, "cur_freq"), 1e-6)))  # Hz
        if self._emc is not None:
            clocks.append(("memory", _number(self._emc, 1e-6)))
        return _present(clocks)

    def _power(self) -> Dict[str, float]:
        """Return mW: the Nano's driver gives it, the later driver gives mV and mA."""
        power = {}
        for rail in self._rails:
            value = _number(rail["power"]) if "power" in rail else None
            if value is None:
                volt, ampere = _number(rail["millivolt"]), _number(rail["milliampere"])
                value = None if volt is None or ampere is None else volt * ampere / 1000.0
            power[rail["name"]] = value
        return _present(power.items())

    def _throttling(self) -> List[str]:
        active = [name for name, path in self._coolers if (_number(path) or 0) > 0]
        active = [name for name in active if not any(word in name for word in NOT_THROTTLING)]
        for rail in self._rails:
            for alarm in rail["alarms"]:
                if _number(alarm):
                    limit = "critical" if alarm.endswith("crit_alarm") else "average"
                    active.append("{} over its {} current".format(rail["name"], limit))
        return active

    def _glob(self, pattern: str) -> List[str]:
        paths = glob.glob(os.path.join(glob.escape(self._root), pattern))
        # re.split with a group puts the digits at the odd places, so numbers are compared with numbers.
        return sorted(paths, key=lambda path: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", path)])

    def _named(self, pattern: str, name_file: str, value_file: str) -> List[Tuple[str, str]]:
        """Return (name, path of the value) of each folder that `pattern` matches."""
        found = ((_text(os.path.join(folder, name_file)), folder) for folder in self._glob(pattern))
        return [(name, os.path.join(folder, value_file)) for name, folder in found if name]

    def _iio_rails(self) -> List[Dict[str, Any]]:
        """Find the rails of an INA3221 with L4T 32's driver (iio)."""
        rails, seen = [], set()
        for path in self._glob("sys/bus/i2c/devices/*/iio[:_]device*/rail_name_[0-9]"):
            folder, channel = os.path.dirname(path), path[-1]
            name = _text(path)
            if name and name not in seen:
                seen.add(name)  # iio_device is a link to iio:device0
                rail: Dict[str, Any] = {"name": name, "alarms": []}
                for key, quantity in (("power", "power"), ("millivolt", "voltage"), ("milliampere", "current")):
                    rail[key] = os.path.join(folder, "in_{}{}_input".format(quantity, channel))
                rails.append(rail)
        return rails

    def _hwmon_rails(self) -> List[Dict[str, Any]]:
        """Find the rails of an INA3221 with the mainline driver (L4T 35 and later).

        Channels without a rail are labelled NC; channel 7 is a sum.
        """
        rails = []
        for path in self._glob("sys/class/hwmon/hwmon*/in[1-3]_label"):
            folder, channel = os.path.dirname(path), os.path.basename(path)[2]
            name = _text(path)
            if _text(os.path.join(folder, "name")) != "ina3221" or not name or name == "NC":
                continue
            current, volt = os.path.join(folder, "curr" + channel), os.path.join(folder, "in{}_input".format(channel))
            alarms = [current + suffix for suffix in ("_crit_alarm", "_max_alarm")]
            rails.append({"name": name, "millivolt": volt, "milliampere": current + "_input", "alarms": alarms})
        return rails


def _present(pairs: Iterable[Tuple[str, Optional[float]]]) -> Dict[str, float]:
    return {name: value for name, value in pairs if value is not None}


def _text(path: str) -> str:
    """Return a name in a file, on one line and no longer than a name is."""
    return one_line(text_of(path).strip("\0\n ")[:MAX_NAME])


def _number(path: str, scale: float = 1) -> Optional[float]:
    """Return the number in a file times `scale`, None without one, or where it is none that a sensor could mean."""
    value = number_of(text_of(path))
    return None if value is None or abs(value) > MAX_VALUE else round(value * scale, 3)
