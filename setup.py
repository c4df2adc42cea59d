"""Install the device half everywhere, and the host half where Python can read it. Calls no compiler."""

import os
import re
import sys
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.dist import Distribution

HERE = Path(__file__).parent
INIT = (HERE / "tsm_edge/__init__.py").read_text(encoding="utf-8")
VERSION = re.search(r'^__version__ = "(.+)"$', INIT, re.M).group(1)

packages = find_packages(include=["tsm_edge", "tsm_edge.*"])
package_dir = {}
# A Nano's Python 3.6 must not even byte-compile the host half's modern syntax. On a newer Python,
# TSM_EDGE_DEVICE_ONLY=1 builds the wheel of the device half.
HOST = sys.version_info >= (3, 10) and os.environ.get("TSM_EDGE_DEVICE_ONLY") != "1"
if HOST:
    packages += find_packages("export", include=["tsm_edge_export", "tsm_edge_export.*"])
    package_dir["tsm_edge_export"] = "export/tsm_edge_export"


HAS_LIBRARIES = any((HERE / "tsm_edge" / "native" / "lib").glob("*.so"))


class PlatformDistribution(Distribution):
    """A wheel with kernel libraries (`make wheel`) fits one platform; one without them fits any."""

    def has_ext_modules(self):
        return HAS_LIBRARIES


# What the entries of the registries name as their `extra`.
EVERYWHERE = [
    # Later releases claim Python 3.6, but have no wheel for it: pip would compile OpenCV.
    "opencv-python<4.6.0.67; python_version < '3.7'",
    "opencv-python; python_version >= '3.7'",
    "tqdm",
    "tomli; python_version < '3.11'",
    "argcomplete",
]
HOST_ONLY = ["torch>=2.4", "onnx>=1.16", "onnxruntime>=1.17", "pillow", "safetensors", "jinja2", "matplotlib"]
EXTRAS = {
    "run": ["onnxruntime"] + EVERYWHERE,
    "cuda": ["onnxruntime-gpu"] + EVERYWHERE,
    "export": [package + "; python_version >= '3.10'" for package in HOST_ONLY] + EVERYWHERE,
}

commands = {}
if "bdist_wheel" in sys.argv:  # an old setuptools has no such command, and nothing else needs it
    try:
        from setuptools.command.bdist_wheel import bdist_wheel  # setuptools 70.1 and later
    except ImportError:
        from wheel.bdist_wheel import bdist_wheel

    class PlatformWheel(bdist_wheel):
        """The libraries are reached by ctypes and ONNX Runtime: they fit one platform, whatever the Python."""

        def get_tag(self):
            return ("py310" if HOST else "py3", "none", bdist_wheel.get_tag(self)[2])

    commands["bdist_wheel"] = PlatformWheel

setup(
    name="tsm-edge",
    version=VERSION,
    description="Run a trained Temporal Shift Module (TSM) video model live on an edge device",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    author="The tsm-edge authors",
    url="https://github.com/tsm-edge/tsm-edge",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Multimedia :: Video :: Capture",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    packages=packages,
    package_dir=package_dir,
    package_data={
        "tsm_edge": ["py.typed", "native/lib/*.so"],
        "tsm_edge_export": ["py.typed", "recipes/*.toml", "weights/*.safetensors", "training_configs/*.toml"]
        + ["autotrain/*.html", "report/*.html", "report/*.css"],
    },
    distclass=PlatformDistribution,
    cmdclass=commands,
    python_requires=">=3.6",
    # NumPy alone: JetPack's own OpenCV and TensorRT carry no pip metadata, and a requirement that pip cannot see would
    # keep the console script of an old setuptools from starting.
    install_requires=["numpy"],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["tsm-edge = tsm_edge.__main__:main"]},
)
