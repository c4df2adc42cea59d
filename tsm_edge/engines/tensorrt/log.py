"""The one log of a process for TensorRT.

TensorRT keeps a single pointer to a logger for all builders, runtimes and plugins of a process. Programs with several
loggers, or with one that was freed, crash (NVIDIA/TensorRT issues 1475, 1539 and 4134). So there is one log for each
module of the TensorRT family, which is never freed. The errors of a call are those that came after a mark that was set
before the call.
"""

import collections
import logging
import threading
from typing import Any, Dict, List, Optional, Tuple

LEVELS = ("error", "warning", "info", "verbose")
KEPT_ERRORS = 1000  # of all threads together

_LOG = logging.getLogger("tsm_edge.tensorrt")
# ILogger.Severity: INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE
_TO_LOGGING = (logging.ERROR, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)

_logs: Dict[Any, Any] = {}  # module of the TensorRT family -> its log
_lock = threading.Lock()


def log_of(trt: Any, level: Optional[str] = None) -> Any:
    """Return the log of the module `trt`, always the same object.

    Args:
        trt: tensorrt, or a module of its family.
        level: of LEVELS. From here on, messages of this level and worse go to Python's logging. None keeps the level,
            which is "warning" at first.
    """
    with _lock:
        if trt not in _logs:
            _logs[trt] = _log_class(trt)()
        log = _logs[trt]
    if level is not None:
        log.most_verbose = LEVELS.index(level) + 1
    return log


def _log_class(trt: Any) -> Any:
    class Log(trt.ILogger):
        """Errors by their position in the log. TensorRT calls `log` from any thread, also from its own."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.most_verbose = LEVELS.index("warning") + 1
            self._errors, self._count = collections.deque(maxlen=KEPT_ERRORS), 0  # type: Any, int
            self._lock = threading.Lock()

        def log(self, severity: Any, msg: str) -> None:
            level = int(severity)
            if level <= 1:
                with self._lock:
                    self._count += 1
                    self._errors.append((self._count, threading.get_ident(), msg))
            if level <= self.most_verbose:
                _LOG.log(_TO_LOGGING[level], "%s", msg)

        def mark(self) -> int:
            """Return the position of the next error, for `since`."""
            return self._count

        def since(self, mark: int) -> List[str]:
            """Return the errors from `mark` on: of this thread or, where it has none, of all threads.

            TensorRT reports the errors of a call mostly in the thread that made the call; another engine may fail in
            another thread meanwhile.
            """
            with self._lock:
                found: List[Tuple[int, int, str]] = [error for error in self._errors if error[0] > mark]
            own = [text for _, thread, text in found if thread == threading.get_ident()]
            return own or [text for _, _, text in found]

    return Log
