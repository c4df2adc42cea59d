"""The CMake build: its summary, its errors, and libraries that a Jetson can load."""

import os
import re
import subprocess

import pytest

from tests.kernels.native import KERNELS, libraries

ALLOWED = r"lib(c|m|stdc\+\+|gcc_s)\.so\.\d+"
CHECK_SYMBOLS = os.path.join(KERNELS, "scripts", "check_symbols.sh")


def output_of(*command):
    return subprocess.check_output(command, text=True, env=dict(os.environ, LC_ALL="C"))


def test_the_library_needs_only_libc_and_libstdcxx():
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", output_of("readelf", "-W", "--dynamic", libraries()["onnxruntime"]))
    assert needed and all(re.fullmatch(ALLOWED, library) for library in needed), needed


def test_only_the_interface_is_exported():
    lines = output_of("nm", "-D", "--defined-only", libraries()["onnxruntime"]).splitlines()
    assert sorted(line.split()[2] for line in lines) == ["RegisterCustomOps", "tsm_edge_onnxruntime_has_cuda"]


@pytest.mark.parametrize(
    "text, flags, reason",
    [
        ("#include <cmath>\ndouble f(double x) { return std::pow(x, 2.5); }", [], "needs GLIBC_2.29"),
        (
            "#include <memory_resource>\nvoid* f() { return std::pmr::get_default_resource(); }",
            ["-std=c++17"],
            "GLIBCXX",
        ),
        ('extern "C" const char* zlibVersion(); const char* f() { return zlibVersion(); }', ["-lz"], "needs libz"),
    ],
)
def test_a_library_that_a_jetson_cannot_load_is_refused_and_removed(tmp_path, text, flags, reason):
    source, library = tmp_path / "new.cpp", tmp_path / "libnew.so"
    source.write_text(text)
    libz = tmp_path / "libz.so"  # a stand-in, so that the test needs no zlib
    empty = ["g++", "-shared", "-fPIC", "-Wl,-soname,libz.so.1", "-x", "c++", "-", "-o", str(libz)]
    subprocess.run(empty, input='extern "C" const char* zlibVersion() { return ""; }', check=True, text=True)
    subprocess.check_call(["g++", "-shared", "-fPIC", str(source), "-L", str(tmp_path), "-o", str(library)] + flags)
    done = subprocess.run(["sh", CHECK_SYMBOLS, str(library)], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and reason in done.stderr
    assert not library.exists()


def configure(folder, *options):
    command = ["cmake", KERNELS, "-DTSM_EDGE_OUTPUT_DIR=" + str(folder / "lib")] + list(options)
    return subprocess.run(command, cwd=str(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_the_summary_gives_the_reason_for_each_skipped_part(tmp_path):
    done = configure(tmp_path, "-DONNXRUNTIME=OFF", "-DCUDA=OFF", "-DTENSORRT=AUTO")
    assert done.returncode == 0, done.stdout
    for part, reason in (("onnxruntime", "switched off"), ("cuda", "switched off"), ("tensorrt", "needs CUDA")):
        assert re.search(r"{} +not built: {}".format(part, reason), done.stdout), done.stdout


def old_headers(folder):
    (folder / "onnxruntime_c_api.h").write_text("#define ORT_API_VERSION 10\n")
    return "-DONNXRUNTIME_INCLUDE_DIR=" + str(folder)


@pytest.mark.parametrize(
    "options, reason",
    [
        (["-DCUDA=maybe"], "CUDA: got maybe, expected AUTO, ON or OFF"),
        (["-DONNXRUNTIME=OFF", "-DCUDA=OFF", "-DTENSORRT=ON"], "TENSORRT=ON: needs CUDA"),
        (["-DONNXRUNTIME_INCLUDE_DIR=/nonexistent"], "no onnxruntime_c_api.h in /nonexistent"),
        (["-DONNXRUNTIME=ON", old_headers], "headers of API version 10"),
    ],
)
def test_a_required_part_that_cannot_be_built_is_an_error(tmp_path, options, reason):
    done = configure(tmp_path, *[option(tmp_path) if callable(option) else option for option in options])
    assert done.returncode != 0
    assert reason in re.sub(r"\s+", " ", done.stdout)
