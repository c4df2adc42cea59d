"""One log a process for TensorRT, with the errors of each call, on fakes."""

import logging
import random
import threading

import pytest

from tests.device.fakes.machine import Machine, request
from tests.device.streams import noise, steps
from tsm_edge import load_engine
from tsm_edge.engines.tensorrt import log as trt_log
from tsm_edge.engines.tensorrt.build import build
from tsm_edge.errors import TsmEdgeError


def test_engines_and_builds_share_one_log(machine, built, tmp_path):
    """The fakes raise where a builder or a runtime is given a second one."""
    engines = [load_engine(built) for _ in range(3)]
    build(request(machine.model("tiny_custom"), tmp_path / "other.trt", lowering="standard", log_level="info"))
    assert {id(engine.log) for engine in engines} == {id(machine.world.logger)} == {id(machine.compat.log())}
    for engine in engines:
        steps(engine, engine.new_state(), noise(engine.manifest.frame, 2))
        engine.close()


def test_the_log_outlives_all_that_used_it(machine, built):
    load_engine(built).close()
    assert machine.world.logger is trt_log._logs[machine.module]


def test_the_level_is_of_the_process(machine, caplog):
    log, severity = machine.compat.log("error"), machine.module.ILogger.Severity
    caplog.set_level(logging.DEBUG, "tsm_edge.tensorrt")
    for level, told in (("error", 2), ("warning", 3), ("info", 4), ("verbose", 5)):
        caplog.clear()
        assert machine.compat.log(level) is log and machine.compat.log() is log
        for number in severity:
            log.log(number, str(number))
        assert len(caplog.records) == told
    assert caplog.records[-1].levelno == logging.DEBUG


def test_errors_are_those_since_the_mark(machine, monkeypatch):
    log, severity = machine.compat.log("error"), machine.module.ILogger.Severity
    monkeypatch.setattr(trt_log, "_LOG", logging.getLogger("unseen"))
    logging.getLogger("unseen").disabled = True
    choose = random.Random(0)
    for _ in range(50):
        mark, written = log.mark(), []
        for i in range(choose.choice((0, 1, 3, 50, trt_log.KEPT_ERRORS + 50))):
            bad = choose.random() < 0.7
            log.log(severity.ERROR if bad else severity.WARNING, str(i))
            written += [str(i)] if bad else []
        assert log.since(mark) == written[-trt_log.KEPT_ERRORS :]
        assert log.since(log.mark()) == []


def test_errors_of_threads_are_kept_apart(machine):
    """Each thread gets its own errors; a thread without any gets those of TensorRT's worker threads."""
    log, severity, wrong = machine.compat.log(), machine.module.ILogger.Severity, []

    def work(number):
        for i in range(200):
            mark, text = log.mark(), "{} of {}".format(i, number)
            log.log(severity.ERROR, text)
            got = log.since(mark)
            wrong.extend([] if got == [text] else [(text, got)])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    mark = log.mark()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong
    assert log.mark() - mark == len(log.since(mark)) == 800


def test_a_failure_tells_its_own_errors_and_not_those_of_an_earlier_one(monkeypatch, models, tmp_path):
    machine = Machine(monkeypatch, models, tmp_path)
    path = str(tmp_path / "model.trt")
    build(request(machine.model("tiny_custom"), path, lowering="standard", streams="1"))
    machine.compat.log().log(machine.module.ILogger.Severity.ERROR, "an error of another engine")
    with load_engine(path) as engine:
        for stage, told in (("context", "out of memory"), ("enqueue", "enqueueV2 failed")):
            machine.world.fails = {stage}
            with pytest.raises(TsmEdgeError) as caught:
                engine.new_state()
            assert told in str(caught.value) and "another engine" not in str(caught.value)
