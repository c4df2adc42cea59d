"""A process of `tsm_edge.engines.tensorrt.worker` on a machine with a fake GPU, and with faults that end processes.

The environment variable TSM_EDGE_FAKE_MACHINE holds, as JSON: models, folder and release as :class:`Machine` takes
them; fails, as World has them; and deaths, lowering -> what happens when such a form is built ("hang", "exit", a
signal's name) or runs ("sticky": from then on every call of CUDA in this process fails, as after an illegal address).
What hangs first writes its process number to the file `pid`.
"""

import json
import os
import signal
import sys
import time

from tests.device.fakes.gpu import GpuError
from tests.device.fakes.machine import Machine
from tsm_edge.engines.tensorrt import worker

VARIABLE = "TSM_EDGE_FAKE_MACHINE"
ILLEGAL = "an illegal memory access was encountered"


class Installer:
    """Takes what pytest's monkeypatch takes, for a process that ends afterwards."""

    @staticmethod
    def setattr(target, name, value):
        setattr(target, name, value)

    @staticmethod
    def setitem(target, name, value):
        target[name] = value

    @staticmethod
    def setenv(name, value):
        os.environ[name] = value


class Everything(dict):
    def __contains__(self, name):
        return True

    def __missing__(self, name):
        return ILLEGAL


def lose_context(gpu):
    """Fail now, and in every call from here on."""
    gpu.failures = Everything()
    raise GpuError(ILLEGAL)


def main():
    settings = json.loads(os.environ[VARIABLE])
    machine = Machine(Installer(), settings["models"], settings["folder"], settings["release"])
    machine.world.fails = set(settings["fails"])
    deaths = settings["deaths"]
    for lowering, death in deaths.items():
        if death == "sticky":
            machine.world.faults[lowering] = lambda views: lose_context(machine.gpu)
    real = machine.module.Builder.build_serialized_network

    def build_serialized_network(builder, network, config):
        death = deaths.get("plugin" if network._parsed.plugin else "standard", "sticky")
        if death == "hang":
            with open(settings["pid"], "w") as file:
                file.write(str(os.getpid()))
            time.sleep(600)
        elif death == "exit":
            os._exit(7)
        elif death != "sticky":
            os.kill(os.getpid(), getattr(signal, death))
        return real(builder, network, config)

    machine.module.Builder.build_serialized_network = build_serialized_network
    sys.stdout.write("noise on standard output\n")
    worker.main()
