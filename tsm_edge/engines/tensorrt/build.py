"""`tsm-edge build`: build an engine of an exported model with this machine's TensorRT, or leave nothing behind.

The shift can be our plugin or a few standard operations. Which is faster depends on the GPU and on what TensorRT fuses
around it, so the lowering `auto` builds and times both. It keeps the faster one of the forms that agree with ONNX
Runtime. Each form is built in a separate process, so that one that fails, or crashes, does not end the build.
"""

import os
from typing import Callable, List, NamedTuple, Optional, Tuple

from tsm_edge.engines import load_manifest
from tsm_edge.engines.tensorrt import record as records
from tsm_edge.engines.tensorrt import trial as trials
from tsm_edge.engines.tensorrt import worker
from tsm_edge.engines.tensorrt.check import Reference
from tsm_edge.engines.tensorrt.record import EngineRecord, FormCheck, LoweringTime
from tsm_edge.engines.tensorrt.request import Request, command_of, parse_streams
from tsm_edge.engines.tensorrt.trial import Job, Preparation, Trial
from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.files import check_apart, check_output, draft_folder
from tsm_edge.machine.install_hints import KERNELS
from tsm_edge.manifest import Manifest, sidecar_path
from tsm_edge.native import library as kernel_library
from tsm_edge.onnx import graph as onnx_graph

__all__ = ["Request", "build", "command_of", "parse_streams"]

Say = Callable[[str], None]


class Failure(NamedTuple):
    """Why a form is not used, in the parts of an InputError. mistake: whether the user can correct it.

    These are strings: an exception would keep the failed builder in memory while the next form is built.
    """

    where: str
    got: str
    expected: Optional[str] = None
    do: Optional[str] = None
    mistake: bool = False


class Form(NamedTuple):
    """One form that was tried. trial: None where it did not run. failure: None where the form can be used."""

    lowering: str
    trial: Optional[Trial]
    failure: Optional[Failure]


def build(request: Request, say: Say = lambda _: None) -> EngineRecord:
    """Build an engine, compare it with ONNX Runtime, and write it. Where this raises, nothing is written or replaced.

    `say` is called with a line of text at each stage, and every 15 s while the builder works. Raises InputError where
    this cannot be built here, TsmEdgeError where no form runs and computes what the reference computes.
    """
    manifest = load_manifest(request.onnx)
    parse_streams(request.streams)
    if os.path.splitext(request.output)[1] not in records.EXTENSIONS:
        expected = "a file named *" + ", *".join(records.EXTENSIONS)
        raise InputError(request.output, "no name of an engine", expected, "name it like model.trt")
    if request.precision == "int8" and not _has_scales(request.onnx):
        got, do = "a model without scales (QuantizeLinear)", "quantise before the export, or build with --fp16"
        raise InputError("precision int8", got, "a quantised model: no frames for calibration are here", do)
    if request.timing_cache is not None:
        check_output(request.timing_cache)
        taken = [("the model", request.onnx), ("the engine", request.output)]
        check_apart("--timing-cache", request.timing_cache, taken)
    forms, times = forms_of(request, manifest)
    with draft_folder(request.output) as folder:
        return _Job(request, folder, say).run(forms, times)


def forms_of(request: Request, manifest: Manifest) -> Tuple[List[Tuple[str, Optional[str]]], List[LoweringTime]]:
    """Return the forms to build, each (lowering, path of the plugin library or None), and those that cannot be."""
    if request.lowering == "standard":
        return [("standard", None)], []
    plugin, why = kernel_library.find("tensorrt"), None
    if manifest.lowering == "standard":
        why = "the model has standard operations in place of our op (exported with --lowering standard)"
    elif plugin is None:
        why = "no libtsm_edge_tensorrt.so (make kernels builds it where TensorRT's headers are)"
    if request.lowering == "plugin" and why:
        raise InputError("--lowering plugin", why, "the plugin", KERNELS + ", or give --lowering auto")
    if why:
        return [("standard", None)], [_not_used("plugin", why)]
    return [("plugin", plugin)] + ([("standard", None)] if request.lowering == "auto" else []), []


class _Job:
    """One build, while it runs. folder: for drafts, the reference and the timing cache."""

    def __init__(self, request: Request, folder: str, say: Say) -> None:
        self.request, self.folder, self.say = request, folder, say
        self.reference = Reference(os.path.join(folder, "reference")) if request.check else None

    def run(self, forms: List[Tuple[str, Optional[str]]], times: List[LoweringTime]) -> EngineRecord:
        """Try all forms and write the fastest that can be used. times: of the forms that cannot be built."""
        self._read_timing_cache()
        path = None if self.reference is None else self.reference.path
        found = worker.run_apart(trials.prepare, Preparation(self.request, path), self.say)
        self.say("TensorRT {0.tensorrt}, {0.gpu}".format(found))
        tried = [self._try(lowering, plugin) for lowering, plugin in forms]
        failed = [(form, form.failure) for form in tried if form.failure is not None]
        for form, failure in failed:
            if form.trial is not None and not self.request.check:  # so it is not known which form is right
                text = "{}: not written: the {} form {}; build it without --no-check to see which one is right"
                raise TsmEdgeError(text.format(self.request.output, form.lowering, failure.got))
        measured = [
            (form.trial.time, form.trial.path)
            for form in tried
            if form.failure is None and form.trial is not None and form.trial.time is not None
        ]
        if not measured:
            raise self._error([failure for _, failure in failed])
        _, path = min(measured, key=lambda pair: pair[0].p50 or 0.0)
        all_times = [timed for timed, _ in measured] + [_not_used(form.lowering, why.got) for form, why in failed]
        checks = tuple(self._check_of(form.lowering, form.trial) for form in tried if form.trial is not None)
        record = records.read_record(path)._replace(times=tuple(all_times + times), checks=checks)
        self._write(path, record)
        return record

    def _try(self, lowering: str, plugin: Optional[str]) -> Form:
        """Build, compare and time one form in a separate process."""
        request, trial = self.request, None
        self.say("{}: building in {} (minutes on a small board)".format(lowering, request.precision))
        # Without ONNX Runtime, the first form that runs is what the second one is compared with. Two int8 engines may
        # round apart, and then nothing tells which one is right.
        keep = os.path.join(self.folder, "reference")
        job = Job(request, lowering, plugin, self.folder, self.reference, keep)
        if self.reference is not None or request.precision == "int8":
            job = job._replace(keep=None)
        where = "{} ({} lowering)".format(request.onnx, lowering)
        try:
            trial = worker.run_apart(trials.perform, job, self.say)
            if trial.check is None or trial.check.passed:
                self.reference = Reference(keep, "the {} form".format(lowering)) if job.keep else self.reference
                return Form(lowering, trial, None)
            failure = Failure(where, records.check_text(trial.check))
        except InputError as error:
            failure = Failure(error.where, str(error.got), error.expected, error.do, mistake=True)
        except TsmEdgeError as error:
            failure = Failure(where, str(error))
        self.say("{}: not used: {}".format(lowering, failure.got))
        return Form(lowering, trial, failure)

    def _check_of(self, lowering: str, trial: Trial) -> FormCheck:
        """Return the comparison with ONNX Runtime, or that there was none."""
        if self.request.check and trial.check is not None:
            return trial.check
        return FormCheck(lowering, reference="", steps=0, streams=(), where="", error=None, allowed=0.0)

    def _error(self, failures: List[Failure]) -> TsmEdgeError:
        """Return one error for all forms that were tried."""
        last = failures[-1]
        got = "; ".join("{}: {}".format(failure.where, failure.got) for failure in failures)
        if not all(failure.mistake for failure in failures):
            advice = "" if self.request.lowering == "auto" else "; --lowering auto tries the other form too"
            return TsmEdgeError("{}: not written: {}{}".format(self.request.output, got, advice))
        if len({failure.got for failure in failures}) == 1:
            return InputError(last.where, last.got, last.expected, last.do)
        return InputError(self.request.onnx, got, "a form that builds", last.do)

    def _read_timing_cache(self) -> None:
        path = self.request.timing_cache
        if path is not None and os.path.exists(path):
            with open(path, "rb") as file:
                trials.write_timing_cache(self.folder, file.read())

    def _write(self, path: str, record: EngineRecord) -> None:
        """Move the draft at `path` into place, with its record and the timing cache."""
        request = self.request
        records.write_record(path, record)
        sidecar = sidecar_path(request.output)
        # A kill between the moves must leave an engine without a record, which is refused, not one with a wrong record.
        if os.path.exists(sidecar):
            os.remove(sidecar)
        os.replace(path, request.output)
        os.replace(sidecar_path(path), sidecar)
        if request.timing_cache is not None:
            draft = request.timing_cache + ".new"
            with open(draft, "wb") as file:
                file.write(trials.read_timing_cache(self.folder))
            os.replace(draft, request.timing_cache)


def _not_used(lowering: str, why: str) -> LoweringTime:
    return LoweringTime(lowering, None, None, 0, why)


def _has_scales(path: str) -> bool:
    with open(path, "rb") as file:
        return ("", "QuantizeLinear") in onnx_graph.operations(file.read(), path)
