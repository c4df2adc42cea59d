"""`tsm-edge doctor --first-run MODEL.onnx`: build and run a model on a new board, and write all that a report needs.

Each step runs in a process of its own, so one that crashes, hangs or loses the GPU is recorded, and the next one runs.
The file is written again after each step: it is there, and says how far it came, whatever ends the first run.
"""

import contextlib
import json
import logging
import os
import shutil
import tempfile
import time
from typing import Any, Callable, Dict, Iterator, NamedTuple

from tsm_edge.commands.bounded_log import BoundedLog, captured_stderr
from tsm_edge.engines import load_manifest
from tsm_edge.engines.tensorrt import first_run as steps
from tsm_edge.engines.tensorrt import trial, worker
from tsm_edge.engines.tensorrt.build import Request, build
from tsm_edge.engines.tensorrt.record import read_record
from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.files import check_apart, check_output, sha256_of, write_whole
from tsm_edge.interrupt import Interruptible
from tsm_edge.manifest import files_of_model, sidecar_path
from tsm_edge.schema import encode
from tsm_edge.text import shown

EXTENSIONS = (".json", ".txt")
FORMAT_VERSION = 1
MAX_BYTES = 8 << 20  # of the file
BUILD_LOG = (64 << 10, 192 << 10)  # bytes that are kept of a build's log: of its begin, of its end
STEP_LOG = (8 << 10, 24 << 10)
STEP_SECONDS = 600  # the most for a step other than a build, which has no limit
PASSED, FAILED, SKIPPED, INTERRUPTED = "passed", "failed", "skipped", "interrupted"

Report = Dict[str, Any]
Say = Callable[[str], None]


class Form(NamedTuple):
    """An engine to build, as the options of `tsm-edge build`."""

    lowering: str
    precision: str
    streams: str


# One thing more at a time: TensorRT's own layers; our plugin; the choice between both, half caches and a batch.
FORMS = (Form("standard", "fp32", "1"), Form("plugin", "fp32", "1"), Form("auto", "fp16", "2"))


def perform(onnx: str, output: str, machine: Report, machine_text: str, say: Say) -> int:
    """Run all steps and write the report. Return 0 where all passed, else 1.

    Args:
        onnx: the exported model.
        output: the file to write, *.txt or *.json.
        machine: the facts of `tsm-edge doctor`.
        machine_text: the same facts as text.
        say: called with a line of text before and after each step.

    Raises:
        InputError: there is no TensorRT, pycuda or GPU here, no such model, or no place for the file.
    """
    if os.path.splitext(output)[1] not in EXTENSIONS:
        raise InputError(output, "no name of a report", "a file named *.txt or *.json", "-o first-run.txt")
    check_output(output)
    check_apart("-o", output, files_of_model(onnx))
    manifest = load_manifest(onnx)
    _need_tensorrt(onnx, machine)
    model = {"name": os.path.basename(onnx), "bytes": os.path.getsize(onnx), "sha256": sha256_of(onnx)}
    model.update(recipe=manifest.recipe, arch=encode(manifest.arch), mode=manifest.mode, lowering=manifest.lowering)
    report: Report = {"kind": "first run", "format_version": FORMAT_VERSION, "finished": False, "model": model}
    report = dict(_clean(report), machine=_clean(machine), steps=[])
    folder = tempfile.mkdtemp(prefix=".first-run-", dir=os.path.dirname(os.path.abspath(output)))
    run = _FirstRun(onnx, output, report, machine_text, folder, say)
    try:
        with Interruptible(), _verbose():
            for form in FORMS:
                run.try_form(form)
            report["finished"] = True
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        run.write()
    bad = [step for step in report["steps"] if step["outcome"] != PASSED]
    say("{} of {} steps passed: {}".format(len(report["steps"]) - len(bad), len(report["steps"]), output))
    return 1 if bad else 0


def _need_tensorrt(onnx: str, machine: Report) -> None:
    """Raise InputError where TensorRT, pycuda or the GPU is missing here."""
    errors = [(name, machine["packages"][name]["error"]) for name in ("tensorrt", "pycuda")]
    lacking = ["{} is {}".format(name, error) for name, error in errors if error]
    if lacking:
        feature = next(row for row in machine["features"] if row["name"] == "TensorRT engine")
        expected = "a machine with TensorRT, pycuda and an NVIDIA GPU"
        raise InputError("doctor --first-run", ", ".join(lacking), expected, "; ".join(feature["do"]))
    worker.run_apart(trial.prepare, trial.Preparation(Request(onnx, ""), None), lambda _: None)


class _FirstRun:
    """A first run while it goes on. folder: for engines and references, deleted at the end."""

    def __init__(self, onnx: str, output: str, report: Report, machine_text: str, folder: str, say: Say) -> None:
        self.onnx, self.output, self.report, self.folder, self.say = onnx, output, report, folder, say
        self.machine_text = _clean(machine_text)

    def try_form(self, form: Form) -> None:
        """Build a form and run all steps on it."""
        engine = os.path.join(self.folder, form.lowering + ".trt")
        known = os.path.join(self.folder, "reference-" + form.streams)
        question = steps.Question(self.onnx, engine, known, form.streams, STEP_SECONDS)
        if not os.path.exists(known):
            self._step(form, "reference", lambda say: worker.run_apart(steps.reference, question, say))
        # A form that computes something else is looked at too. Only "auto" leaves it out, as in a user's build.
        check = form.lowering == "auto" and os.path.exists(known)
        request = Request(
            self.onnx, engine, form.precision, form.lowering, form.streams, log_level="verbose", check=check
        )

        def built(say: Say) -> steps.Findings:
            build(request, say)
            return steps.Findings(True, {"record": encode(read_record(engine)._replace(manifest=None))})  # type: ignore

        self._step(form, "build", built, BUILD_LOG)
        online = steps.is_online(self.onnx)
        for function, also_offline in steps.STEPS:
            needed = [engine] + ([known] if function is steps.comparison else [])
            missing = [path for path in needed if not os.path.exists(path)]
            if missing:
                name = "engine" if missing[0] == engine else "reference"
                self._add(form, function.__name__, SKIPPED, error="there is no {}".format(name))
            elif online or also_offline:
                self._step(form, function.__name__, _apart(function, question))
        for path in (engine, sidecar_path(engine)):
            with contextlib.suppress(FileNotFoundError):
                os.remove(path)

    def _step(self, form: Form, name: str, work: Callable[[Say], steps.Findings], kept: Any = STEP_LOG) -> None:
        """Do a step, and add what came of it to the report."""
        log, begun = BoundedLog(*kept), time.monotonic()
        result: Dict[str, Any] = {"outcome": FAILED, "facts": None, "error": None}
        self.say("{} {}: {} ...".format(form.lowering, form.precision, name))

        def told(text: str) -> None:
            log.write(text + "\n")
            self.say("  " + text)

        try:
            with captured_stderr(log), _logged_to(log):
                found = work(told)
            result.update(outcome=PASSED if found.passed else FAILED, facts=found.facts)
        except TsmEdgeError as error:
            result.update(error=str(error))
        except KeyboardInterrupt:
            result.update(outcome=INTERRUPTED)
            raise
        finally:
            self._add(form, name, log=log.text(), seconds=round(time.monotonic() - begun, 2), **result)

    def _add(
        self,
        form: Form,
        name: str,
        outcome: str,
        error: Any = None,
        facts: Any = None,
        log: str = "",
        seconds: float = 0.0,
    ) -> None:
        row = {"form": encode(form), "step": name, "outcome": outcome, "seconds": seconds}
        self.report["steps"].append(_clean(dict(row, error=error, facts=facts, log=log)))
        self.say("  {} ({:.1f} s){}".format(outcome, seconds, ": " + error if error else ""))
        self.write()

    def write(self) -> None:
        """Write what the report holds so far, with shorter logs where it would be larger than MAX_BYTES."""
        for limit in (None, 64 << 10, 8 << 10, 0):
            report = _with_logs_of(self.report, limit)
            if os.path.splitext(self.output)[1] == ".json":
                text = json.dumps(report, indent=1, ensure_ascii=False) + "\n"
            else:
                text = _as_text(report, self.machine_text)
            if len(text.encode("utf-8")) <= MAX_BYTES:
                break
        write_whole(self.output, text)


def _apart(function: Any, question: steps.Question) -> Callable[[Say], steps.Findings]:
    return lambda say: worker.run_apart(function, question, say)


def _with_logs_of(report: Report, limit: Any) -> Report:
    if limit is None:
        return report
    return dict(report, steps=[dict(step, log=step["log"][-limit:] if limit else "") for step in report["steps"]])


def _clean(value: Any) -> Any:
    """Return JSON values whose texts hold no secret, no name of the user's home folder and no control characters."""
    if isinstance(value, str):
        home = os.path.expanduser("~")
        return shown(value.replace(home, "~") if len(home) > 1 else value)
    if isinstance(value, dict):
        return {name: _clean(item) for name, item in value.items()}
    return [_clean(item) for item in value] if isinstance(value, (list, tuple)) else value


def _as_text(report: Report, machine_text: str) -> str:
    rows = report["steps"]
    state = "all steps were tried" if report["finished"] else "NOT FINISHED: the steps after the last one are missing"
    lines = ["tsm-edge doctor --first-run, report version {}: {}".format(report["format_version"], state), ""]
    lines += ["{:<17} {}".format(name, _brief(value)) for name, value in report["model"].items()]
    lines += ["", machine_text, ""]
    for row in rows:
        lines.append("{:<42} {} ({} s)".format(_title(row), row["outcome"], row["seconds"]))
    for row in rows:
        lines += ["", "== {}: {}".format(_title(row), row["outcome"])]
        lines += [] if row["error"] is None else ["error: " + row["error"]]
        lines += _facts(row["facts"] or {})
        lines += ["-- log", row["log"].rstrip("\n")] if row["log"] else []
    return "\n".join(lines) + "\n"


def _title(row: Report) -> str:
    return "{lowering} {precision}, {streams} stream(s): ".format(**row["form"]) + row["step"]


def _facts(facts: Report) -> Iterator[str]:
    for name, value in facts.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            yield name + ":"
            yield from ("  " + _brief(item) for item in value)
        else:
            yield "{}: {}".format(name, _brief(value))


def _brief(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join("{} {}".format(name, _brief(item)) for name, item in value.items())
    return value if isinstance(value, str) else json.dumps(value)


@contextlib.contextmanager
def _verbose() -> Iterator[None]:
    """Let TensorRT's log through, and let each Python process that is started tell where it crashed."""
    logger, before = logging.getLogger("tsm_edge.tensorrt"), os.environ.get("PYTHONFAULTHANDLER")
    level, logger.propagate = logger.level, False
    logger.setLevel(logging.DEBUG)
    os.environ["PYTHONFAULTHANDLER"] = "1"
    try:
        yield
    finally:
        logger.propagate = True
        logger.setLevel(level)
        if before is None:
            del os.environ["PYTHONFAULTHANDLER"]
        else:
            os.environ["PYTHONFAULTHANDLER"] = before


@contextlib.contextmanager
def _logged_to(log: BoundedLog) -> Iterator[None]:
    handler = logging.StreamHandler(log)  # type: ignore[arg-type]
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger = logging.getLogger("tsm_edge.tensorrt")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
