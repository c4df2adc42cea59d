"""What a sampler collects during a run: memory, processors, sensors and what throttled."""

import mmap

import pytest

from tests.device import boards
from tsm_edge.machine import sampler as machine


def test_a_sampler_beside_a_run(tmp_path):
    root = boards.nano(tmp_path)
    boards.write(root, {"proc/self/status": "VmHWM:\t  2000 kB\nVmRSS:\t  1000 kB\n"})
    boards.write(root, {"proc/self/statm": "9000 250 100 1 0 50 0\n"})
    boards.write(root, {"proc/stat": "cpu  100 0 50 1000 5 0 5 0 0 0\ncpu0 1 2\n"})
    with machine.Sampler(root) as sampler:
        sampler.begin()
        boards.write(root, {"proc/stat": "cpu  100000 0 50 1000 5 0 5 0 0 0\ncpu0 1 2\n"})
        columns, rows, readings, (process, others) = sampler.finish()
    assert columns[0] == "resident bytes" and rows[-1][1] == 250 * mmap.PAGESIZE
    assert rows[-1][3] == 47.5 and rows[-1][4] == 1479.0
    assert process >= 0 and others > 1
    assert machine.resident(root) == (1024000, 2048000)
    assert machine.spread(readings, "temperatures")["CPU-therm"] == [41.5, 41.5, 41.5]
    assert machine.throttling(readings) == ()


def test_throttling_that_came_and_went_is_reported(tmp_path):
    root = boards.orin_nano(tmp_path)
    sampler = machine.Sampler(root)
    boards.write(root, {"sys/class/hwmon/hwmon3/oc2_event_cnt": "4\n"})
    boards.write(root, {"sys/class/thermal/cooling_device3/cur_state": "1\n"})
    sampler._sample(1.0, machine.Sensors(root).read())
    boards.write(root, {"sys/class/thermal/cooling_device3/cur_state": "0\n"})
    assert machine.throttling(sampler.finish()[2]) == (
        "devfreq-17000000.gpu",
        "oc2 (under-voltage or over-current)",
    )


def test_samples_do_not_grow_with_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "MAX_SAMPLES", 10)
    sampler = machine.Sampler(str(tmp_path))
    reading = machine.Sensors(str(tmp_path)).read()
    for index in range(1000):
        sampler._sample(float(index), reading)
        assert len(sampler._rows) <= 10
    columns, rows, _, (_, others) = sampler.finish()
    assert others is None and rows[-1][1] is None  # nothing of Linux is there
    assert len({len(row) for row in rows}) == 1 == len(rows[0]) - len(columns)


@pytest.mark.parametrize(
    "text, name",
    [
        ("processor: 0\nmodel name\t: AMD EPYC 7\n", "AMD EPYC 7"),
        ("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd07\n", "Arm implementer 0x41, part 0xd07"),
    ],
)
def test_the_processors_name(tmp_path, text, name):
    assert machine.cpu_name(boards.write(tmp_path, {"proc/cpuinfo": text})) == name
