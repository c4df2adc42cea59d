"""Shell code in the values that `make` is given: none of it may run."""

import os

from tests.conftest import ROOT
from tests.hostile.case import kind

MARK = "injected"
PAYLOADS = (
    "x; touch {0}",
    "x && touch {0}",
    "x | touch {0}",
    "$(touch {0})",
    "$$(touch {0})",
    "`touch {0}`",
    '"; touch {0}; "',
    "'; touch {0}; '",
    '\\"; touch {0}; \\"',
    "x\ntouch {0}",
    "$(shell touch {0})",
    "$${{x:-$$(touch {0})}}",
    "x' $$(touch {0}) '",
    '"$$(touch {0})"',
    "x > {0}",
    "x) touch {0} (",
    "x # ' \" `touch {0}`",
    "-oProxyCommand=touch {0}",
    "--config=$(touch {0})",
    "#{0}",
    "%s;touch {0}",
)
TARGETS = (
    ("export", ("MODEL", "WEIGHTS", "MODE", "LOWERING"), {"MODEL": "tiny.toml"}),
    ("verify", ("MODEL",), {"MODEL": "tiny_custom.onnx"}),
    ("deploy", ("HOST", "MODEL", "DRY_RUN"), {"HOST": "user@board", "MODEL": "tiny_custom.onnx", "DRY_RUN": "1"}),
    ("hostile", ("SEED", "CASES"), {}),
    ("soak", ("FRAMES", "SEED"), {}),
    ("train-demo", ("START",), {}),
)
# A number that make soak and make hostile take would start minutes of work; each payload here is none.
NEEDED = {"deploy": ("DRY_RUN",)}


def workplace(case):
    """Make a folder in which the Makefile works as in the repository, except that it builds there."""
    for name in sorted(os.listdir(ROOT)):
        if name not in ("build", ".git", "dist"):
            os.symlink(os.path.join(ROOT, name), str(case.folder / name))
    (case.folder / "build").mkdir()
    os.symlink(os.path.join(ROOT, "build", "device"), str(case.folder / "build" / "device"))  # for make soak
    case.outputs += ["build/*"]


def make(case, target, given, by_environment):
    """Add the call of make. The environments are made already: `-o` says so."""
    line = ["make", "-o", ".venv/.ready", "-o", "kernels", target]
    settings = {} if by_environment else given
    environment = given if by_environment else {}
    words = ["{}={}".format(name, value) for name, value in settings.items()]
    case.run_program(*line, *words, allowed=(0, 1, 2, 127, 255), environment=environment)
    case.checks.append(not_injected)


def not_injected(case, outcomes):
    """Return a fault where a payload ran: each would leave a file."""
    found = [str(path) for path in case.folder.glob("**/" + MARK) if ".venv" not in path.parts]
    return [("injected", ", ".join(found))] if found or (case.folder / MARK).exists() else []


@kind(share=4)
def shell_code(case):
    """Give a variable of a target shell code."""
    target, names, given = case.random.choice(TARGETS)
    name = case.random.choice(names)
    place = case.random.choice((MARK, str(case.folder / MARK)))
    payload = case.random.choice(PAYLOADS).format(place)
    by_environment = case.random.random() < 0.3
    workplace(case)
    case.take("tiny_custom.onnx", "tiny_custom.json", "tiny.toml")
    case.say("make {} {}={}{}".format(target, name, ascii(payload), " by environment" * by_environment))
    make(case, target, dict(given, **{name: payload}), by_environment)
