"""What board this is, and what keeps it from its speed."""

import json
import os

import pytest

from tests.device import boards
from tsm_edge.machine.board import CHIPS, JETPACKS, RELEASES, jetpack_of, problems, read_board


def test_a_nano(tmp_path):
    board = read_board(boards.nano(tmp_path))
    assert board["model"] == "NVIDIA Jetson Nano Developer Kit"
    assert (board["chip"], board["compute_capability"], board["precisions"]) == ("tegra210", "5.3", ["fp32", "fp16"])
    assert (board["l4t"], board["jetpack"], board["package"]) == ("32.7.1", "4.6.1", "4.6.1-b110")
    assert board["support"]["state"] == "supported" and board["support"]["versions"]["TensorRT"] == "8.2.1"
    assert (board["memory_mb"], board["swap_mb"]) == (3964, 1982)
    assert board["power_mode"] == {"id": 0, "name": "MAXN", "best": 0}
    assert board["sensors"]["clocks"]["gpu"] == 921.6
    assert problems(board) == []
    assert json.loads(json.dumps(board, allow_nan=False)) == board


def test_an_orin_nano(tmp_path):
    board = read_board(boards.orin_nano(tmp_path))
    assert (board["chip"], board["compute_capability"]) == ("tegra234", "8.7") and "int8" in board["precisions"]
    assert (board["l4t"], board["jetpack"]) == ("36.4.3", "6.2") and board["support"]["state"] == "supported"
    assert board["power_mode"] == {"id": 2, "name": "MAXN_SUPER", "best": 2}
    assert problems(board) == []


@pytest.mark.parametrize(
    "major, revision, jetpack, state, tensorrt",
    [
        (32, "4.4", "4.4.1", "refused", None),
        (32, "6.1", "4.6", "refused", None),  # TensorRT 8.0
        (32, "7.1", "4.6.1", "supported", "8.2.1"),
        (32, "7.6", "4.6.6", "supported", "8.2.1"),
        (34, "1.0", "5.0", "refused", None),
        (35, "4.1", "5.1.2", "untested", "8.5.2"),
        (36, "2.0", "6.0 (preview)", "refused", None),
        (36, "3.0", "6.0", "untested", "8.6.2"),
        (36, "4.0", "6.1", "supported", "10.3"),
        (36, "4.7", "6.2.1", "supported", "10.3"),
        (38, "2.0", "7.0", "untested", "10.13"),
        (39, "2.0", "7.2", "supported", "10.16"),
        (40, "1.0", None, "untested", None),
    ],
)
def test_jetpacks(tmp_path, major, revision, jetpack, state, tensorrt):
    board = read_board(boards.orin_nano(tmp_path, release=revision, major=major))
    assert (board["jetpack"], board["support"]["state"]) == (jetpack, state)
    assert board["support"]["versions"].get("TensorRT") == tensorrt
    refused = [what for what, _ in problems(board) if "JetPack" in what or "L4T" in what]
    assert bool(refused) == (state == "refused")
    assert board["support"]["why"] or state == "supported"


def test_the_tables_agree():
    """Each known JetPack has one release that stands for it, and each release is one that exists."""
    for l4t, jetpack in JETPACKS.items():
        assert jetpack_of(l4t) == jetpack
    assert jetpack_of("32.5") == "4.5" and jetpack_of(None) is None and jetpack_of("99.9.9") is None
    known = list(JETPACKS) + ["32.7.1"]
    for release in RELEASES:
        assert any(l4t.startswith(release.l4t) for l4t in known), release
        assert release.state in ("supported", "untested", "refused")
        assert bool(release.versions) == (release.state != "refused")
    assert all(precisions[:2] == ("fp32", "fp16") for _, precisions in CHIPS.values())


@pytest.mark.parametrize(
    "change, what, do",
    [
        ({"var/lib/nvpmodel/status": "pmode:0001"}, "power mode 5W", "sudo nvpmodel -m 0"),
        ({"proc/meminfo": "MemTotal: 4059216 kB\nSwapTotal: 0 kB\n"}, "no swap", "setup.sh --swap"),
        ({"sys/class/thermal/cooling_device0/cur_state": "3"}, "slowed down: cpu-balanced", "cool it"),
        (
            {
                "sys/bus/i2c/devices/6-0040/{}/in_voltage0_input".format(folder): "4612"
                for folder in ("iio_device", "iio:device0")
            },
            "slowed down: POM_5V_IN at 4.61 V",
            "stronger supply",
        ),
        ({"etc/nv_tegra_release": "damaged"}, "L4T unknown: its L4T is not known", "flash"),
    ],
)
def test_problems(tmp_path, change, what, do):
    found = problems(read_board(boards.write(boards.nano(tmp_path), change)))
    assert len(found) == 1 and what in found[0][0] and do in found[0][1]


def test_a_power_mode_without_names(tmp_path):
    """The configuration is missing or has no MAXN: the number is said, and nothing is advised."""
    board = read_board(boards.write(boards.nano(tmp_path, mode=1), {"etc/nvpmodel.conf": ""}))
    assert board["power_mode"] == {"id": 1, "name": None, "best": None} and problems(board) == []


def test_over_current_events_are_a_problem(tmp_path):
    root = boards.write(boards.orin_nano(tmp_path), {"sys/class/hwmon/hwmon3/oc1_event_cnt": "3"})
    assert problems(read_board(root))[0][0] == "slowed down: oc1 3 times since the start"


def test_no_jetson(tmp_path):
    assert read_board(boards.write(tmp_path, {"proc/device-tree/model": "Raspberry Pi 4 Model B\0"})) is None


def test_an_unknown_chip(tmp_path):
    root = boards.write(boards.nano(tmp_path), {"proc/device-tree/compatible": "nvidia,tegra999\0"})
    board = read_board(root)
    assert (board["chip"], board["compute_capability"], board["precisions"]) == ("tegra999", None, [])


def test_every_file_may_be_missing(tmp_path):
    root = boards.nano(tmp_path)
    whole = read_board(root)
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            os.rename(path, path + ".away")
            found = read_board(root)
            assert set(found) == set(whole) and json.dumps(found, allow_nan=False) and problems(found) is not None
            os.rename(path + ".away", path)
