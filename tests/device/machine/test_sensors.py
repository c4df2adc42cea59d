"""Clocks, temperatures, power and throttling, from the system files of boards."""

import json
import os
import shutil

import pytest

from tests.device import boards
from tsm_edge.machine.sensors import Sensors


def test_a_nano(tmp_path):
    assert Sensors(boards.nano(tmp_path)).read() == {
        "temperatures": {
            "AO-therm": 47.5,
            "CPU-therm": 41.5,
            "GPU-therm": 39.5,
            "PLL-therm": 39.0,
            "thermal-fan-est": 40.5,
        },
        "clocks": {"cpu0": 1479.0, "cpu1": 1479.0, "cpu2": 1479.0, "cpu3": 1479.0, "gpu": 921.6, "memory": 1600.0},
        "power": {"POM_5V_IN": 4812.0, "POM_5V_GPU": 1203.0, "POM_5V_CPU": 998.0},
        "voltage": {"POM_5V_IN": 4.992, "POM_5V_GPU": 4.992, "POM_5V_CPU": 4.992},
        "gpu_load": 0.421,
        "fan": 80.0,
        "throttling": [],
        "events": {},
    }


def test_an_orin_nano(tmp_path):
    sensors = Sensors(boards.orin_nano(tmp_path)).read()
    assert sensors["temperatures"] == {"cpu-thermal": 52.343, "gpu-thermal": 51.093, "tj-thermal": 52.343}
    assert sensors["clocks"]["gpu"] == 1020.0 and sensors["clocks"]["cpu5"] == 1728.0
    assert "memory" not in sensors["clocks"]  # debugfs is root's
    assert sensors["power"] == {"VDD_IN": pytest.approx(5016 * 1.88), "VDD_CPU_GPU_CV": pytest.approx(5016 * 0.616)}
    assert sensors["voltage"] == {"VDD_IN": 5.016, "VDD_CPU_GPU_CV": 5.016}
    assert (sensors["gpu_load"], sensors["fan"]) == (0.65, 65.0)
    assert sensors["throttling"] == [] and sensors["events"] == {"oc1": 0.0, "oc2": 0.0, "oc3": 0.0}


@pytest.mark.parametrize(
    "board, change, said",
    [
        (boards.nano, {"sys/class/thermal/cooling_device1/cur_state": "2\n"}, "gpu-balanced"),
        (boards.orin_nano, {"sys/class/thermal/cooling_device3/cur_state": "1\n"}, "devfreq-17000000.gpu"),
        (boards.orin_nano, {"sys/class/hwmon/hwmon1/curr1_crit_alarm": "1\n"}, "VDD_IN over its critical current"),
        (
            boards.orin_nano,
            {"sys/class/hwmon/hwmon1/curr2_max_alarm": "1\n"},
            "VDD_CPU_GPU_CV over its average current",
        ),
    ],
)
def test_throttling_is_named(tmp_path, board, change, said):
    root = board(tmp_path)
    sensors = Sensors(root)
    assert sensors.read()["throttling"] == []
    boards.write(root, change)
    assert sensors.read()["throttling"] == [said]


def test_events_count_up(tmp_path):
    root = boards.orin_nano(tmp_path)
    boards.write(root, {"sys/class/hwmon/hwmon3/oc3_event_cnt": "37\n"})
    assert Sensors(root).read()["events"]["oc3"] == 37


@pytest.mark.parametrize("text", ["", "Resource temporarily unavailable", "-256000\n", "\xff"])
def test_a_sensor_that_does_not_answer_is_left_out(tmp_path, text):
    root = boards.nano(tmp_path)
    boards.write(root, {"sys/class/thermal/thermal_zone1/temp": text})
    assert "CPU-therm" not in Sensors(root).read()["temperatures"]


def test_files_that_vanish_while_it_samples(tmp_path):
    """A USB hub or a driver may be unloaded, a core may be switched off; a run must not end for that."""
    root = boards.nano(tmp_path)
    sensors = Sensors(root)
    shutil.rmtree(os.path.join(root, "sys"))
    empty = sensors.read()
    assert set(empty) == set(Sensors(root).read()) and empty["temperatures"] == empty["clocks"] == empty["power"] == {}


@pytest.mark.parametrize("board", [boards.nano, boards.orin_nano])
def test_every_sensor_may_be_missing(tmp_path, board):
    """Whatever file a kernel lacks, what is left is read, and the report stays strict JSON."""
    root = board(tmp_path)
    whole = Sensors(root).read()
    for folder, _, names in os.walk(os.path.join(root, "sys")):
        for name in names:
            path = os.path.join(folder, name)
            os.rename(path, path + ".away")
            found = Sensors(root).read()
            assert set(found) == set(whole) and json.dumps(found, allow_nan=False)
            os.rename(path + ".away", path)


def test_this_machine():
    found = Sensors().read()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert all(-40 < value < 200 for value in found["temperatures"].values())
