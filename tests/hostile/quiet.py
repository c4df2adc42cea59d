"""Imported before OpenCV and torch: they would complain of the videos and tensors that the generator makes."""

import os
import warnings

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
warnings.filterwarnings("ignore", module="torch|tests.hostile")
