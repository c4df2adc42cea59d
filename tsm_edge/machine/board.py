"""Which Jetson board this is: model, JetPack, GPU, precisions, memory, power mode, sensors; from system files alone.

`root` is the folder that stands for "/", so that tests can give the files of any board.

Sources: NVIDIA's JetPack archive (which L4T is which JetPack, and what it holds; devices/*/README.md names the pages),
"CUDA GPUs" (compute capability), TensorRT's support matrices (precisions by compute capability).
"""

import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from tsm_edge.machine.sensors import Sensors
from tsm_edge.machine.system_files import memory_mb, read_text, search
from tsm_edge.text import one_line

# The chip, as the device tree's "compatible" names it -> its compute capability and TensorRT's native precisions.
CHIPS = {
    "tegra210": ("5.3", ("fp32", "fp16")),  # Nano, TX1
    "tegra186": ("6.2", ("fp32", "fp16")),  # TX2
    "tegra194": ("7.2", ("fp32", "fp16", "int8")),  # Xavier
    "tegra234": ("8.7", ("fp32", "fp16", "int8")),  # Orin
    "tegra264": ("11.0", ("fp32", "fp16", "int8")),  # Thor
}


MAX_NAME = 100  # characters


class Release(NamedTuple):
    """The releases of JetPack whose L4T version begins with `l4t`. state: "supported", "untested" or "refused"."""

    l4t: str
    state: str
    why: str
    versions: Tuple[Tuple[str, str], ...]


# The first entry whose l4t begins a board's version holds. devices/*/README.md says what "supported" means.
RELEASES = (
    Release("32.7", "supported", "", (("TensorRT", "8.2.1"), ("CUDA", "10.2"), ("Python", "3.6"))),
    Release("34", "refused", "a developer preview", ()),
    Release("35", "untested", "TensorRT 8.4 or 8.5", (("TensorRT", "8.5.2"), ("CUDA", "11.4"), ("Python", "3.8"))),
    Release("36.2", "refused", "a developer preview", ()),
    Release("36.3", "untested", "TensorRT 8.6", (("TensorRT", "8.6.2"), ("CUDA", "12.2"), ("Python", "3.10"))),
    Release("36", "supported", "", (("TensorRT", "10.3"), ("CUDA", "12.6"), ("Python", "3.10"))),
    Release("38", "untested", "for Thor alone", (("TensorRT", "10.13"), ("CUDA", "13.0"), ("Python", "3.12"))),
    Release("39", "supported", "", (("TensorRT", "10.16"), ("CUDA", "13.2"), ("Python", "3.12"))),
)
OLDEST = "32.7.1"  # JetPack 4.6.1, the first with TensorRT 8.2
NANO_MINIMUM_VOLTAGE = 4.75  # of VDD_IN, by the Nano's data sheet: below it the module slows down, then resets

JETPACKS = dict(  # version of L4T -> version of JetPack
    re.findall(
        r"([\d.]+): ([^,]+)",
        "32.4.3: 4.4, 32.4.4: 4.4.1, 32.5.0: 4.5, 32.5.1: 4.5.1, 32.5.2: 4.5.1, 32.6.1: 4.6, "
        "34.1.0: 5.0, 34.1.1: 5.0.1, 35.1.0: 5.0.2, 35.2.1: 5.1, 35.3.1: 5.1.1, 35.4.1: 5.1.2, "
        "35.5.0: 5.1.3, 35.6.0: 5.1.4, 35.6.1: 5.1.5, 35.6.2: 5.1.5, 36.2.0: 6.0 (preview), 36.3.0: 6.0, "
        "36.4.0: 6.1, 36.4.3: 6.2, 36.4.4: 6.2.1, 36.4.7: 6.2.1, 36.5.0: 6.2.2, "
        "38.2.0: 7.0, 38.2.1: 7.0, 38.4.0: 7.1, 39.2.0: 7.2, 39.2.1: 7.2.1",
    )
)


def read_board(root: str = "/") -> Optional[Dict[str, Any]]:
    """Return the facts about the Jetson that this machine is, as JSON values; None where it is no Jetson.

    model: the device tree's name. chip: "tegra210", None where unknown. compute_capability: "5.3". precisions: those
    that its GPU computes in. l4t: "32.7.1"; jetpack: "4.6.1"; package: dpkg's version of nvidia-jetpack.
    support: "state" and "why" (see :class:`Release`), "versions" of what that JetPack holds. memory_mb, swap_mb.
    power_mode: "id", "name", and "best", the id of the fastest; None where unknown. sensors: see :meth:`Sensors.read`.
    """
    release = re.search(r"R([0-9]{1,6}) \(release\), REVISION: ([0-9.]{1,30})", read_text(root, "etc/nv_tegra_release"))
    package = search(
        r"^Package: nvidia-jetpack\n(?:.+\n)*?Version: (\S{1,100})", read_text(root, "var/lib/dpkg/status")
    )
    model = one_line(read_text(root, "proc/device-tree/model").strip("\0\n ")[:MAX_NAME]) or None
    if release is None and package is None and "Jetson" not in (model or ""):
        return None
    l4t = ".".join(release.groups()) if release else None
    chip = search(r"nvidia,(tegra\d+)", read_text(root, "proc/device-tree/compatible"))
    capability, precisions = CHIPS.get(chip or "", (None, ()))
    return {
        "model": model,
        "chip": chip,
        "compute_capability": capability,
        "precisions": list(precisions),
        "l4t": l4t,
        "jetpack": jetpack_of(l4t),
        "package": package,
        "support": _support(l4t),
        "memory_mb": memory_mb(root),
        "swap_mb": memory_mb(root, "SwapTotal"),
        "power_mode": _power_mode(root),
        "sensors": Sensors(root).read(),
    }


def jetpack_of(l4t: Optional[str]) -> Optional[str]:
    """Return the version of JetPack for one of L4T ("32.7.1" -> "4.6.1"), None where it is not known."""
    if l4t is None:
        return None
    if re.match(r"32\.7\.\d$", l4t):
        return "4.6." + l4t[-1]
    return JETPACKS.get(l4t if l4t.count(".") == 2 else l4t + ".0")


def problems(board: Dict[str, Any]) -> List[Tuple[str, str]]:
    """Return (what is wrong, what to type) for all that keeps a board of `read_board` from working at full speed."""
    found = []
    support, mode, sensors = board["support"], board["power_mode"], board["sensors"]
    if support["state"] == "refused":
        name = "JetPack {}".format(board["jetpack"]) if board["jetpack"] else "L4T {}".format(board["l4t"] or "unknown")
        found.append(("{}: {}".format(name, support["why"]), "flash another JetPack: devices/jetson_nano/README.md"))
    if mode is not None and mode["best"] is not None and mode["id"] != mode["best"]:
        found.append(("power mode {}".format(mode["name"] or mode["id"]), "sudo nvpmodel -m {}".format(mode["best"])))
    if board["swap_mb"] == 0:
        found.append(("no swap, which an engine's build may need", "this board's devices/*/setup.sh --swap 4"))
    events = [(name, times) for name, times in sensors["events"].items() if times]
    slow = sensors["throttling"] + ["{} {:.0f} times since the start".format(*event) for event in events]
    volt = sensors["voltage"].get("POM_5V_IN", NANO_MINIMUM_VOLTAGE)
    slow += ["POM_5V_IN at {:.2f} V".format(volt)] if volt < NANO_MINIMUM_VOLTAGE else []
    if slow:
        do = "cool it, or give it a stronger supply and a shorter cable: devices/jetson_nano/README.md"
        found.append(("slowed down: " + ", ".join(slow), do))
    return found


def _support(l4t: Optional[str]) -> Dict[str, Any]:
    if l4t is None:
        return {"state": "refused", "why": "its L4T is not known", "versions": {}}
    if _parts(l4t) < _parts(OLDEST):
        return {"state": "refused", "why": "older than JetPack 4.6.1, without TensorRT 8.2", "versions": {}}
    for release in RELEASES:
        if _parts(l4t)[: len(_parts(release.l4t))] == _parts(release.l4t):
            return {"state": release.state, "why": release.why, "versions": dict(release.versions)}
    return {"state": "untested", "why": "newer than this tsm-edge", "versions": {}}


def _power_mode(root: str) -> Optional[Dict[str, Any]]:
    """Read the mode from nvpmodel's own record ("pmode:0000"), and the names of modes from its configuration.

    The fastest is MAXN or MAXN_SUPER by name: its number differs from board to board.
    """
    number = search(r"pmode:([0-9]{1,6})", read_text(root, "var/lib/nvpmodel/status"))
    if number is None:
        return None
    text = read_text(root, "etc/nvpmodel.conf")
    named = re.findall(r"^<[ \t]*POWER_MODEL[ \t]+ID=([0-9]{1,6})[ \t]+NAME=(\S{1,100})", text, re.MULTILINE)
    modes = {int(identity): name for identity, name in named}
    best = [identity for name in ("MAXN_SUPER", "MAXN") for identity, mode in modes.items() if mode == name]
    return {"id": int(number), "name": modes.get(int(number)), "best": best[0] if best else None}


def _parts(version: str) -> List[int]:
    return [int(part) for part in re.findall(r"\d+", version)]
