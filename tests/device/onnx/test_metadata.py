"""Reading ONNX metadata without onnx: files made here byte by byte, damaged in every place."""

import os
import struct
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device.test_manifest import ONLINE
from tsm_edge.engines import load_engine, load_manifest
from tsm_edge.errors import InputError
from tsm_edge.manifest import METADATA_KEY, to_json
from tsm_edge.onnx.metadata import read_metadata


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, payload):
    """A length-delimited field, or a varint where `payload` is a number (onnx/onnx.proto, protobuf encoding)."""
    if isinstance(payload, int):
        return varint(number << 3) + varint(payload)
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def prop(key, value):
    return field(14, field(1, key.encode("utf-8")) + field(2, value.encode("utf-8")))


def model(*properties):
    """A ModelProto of IR 8, a producer, a graph of 3,000 bytes, one opset, and the properties."""
    head = field(1, 8) + field(2, b"pytorch") + field(7, b"\x0a\x05" * 1500) + field(8, field(2, 13))
    return head + b"".join(prop(*pair) for pair in properties)


OURS = model(("note", "x"), (METADATA_KEY, to_json(ONLINE)))


@pytest.fixture
def put(tmp_path):
    """A function (bytes) -> the path of a file that holds them."""

    def write(data, name="model.onnx"):
        path = str(tmp_path / name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    return write


def refused(read, path, *parts):
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(caught.value).startswith(path)
    for part in parts:
        assert part in str(caught.value)
    assert caught.value.do


def test_properties(put):
    assert read_metadata(put(model())) == {}
    assert read_metadata(put(model(("a", "1"), ("\u00fc", "\u624b" * 500)))) == {"a": "1", "\u00fc": "\u624b" * 500}
    assert load_manifest(put(OURS)) == ONLINE


def test_all_wire_types_are_passed_over(put):
    fixed = varint(40 << 3 | 1) + struct.pack("<d", 1.5) + varint(41 << 3 | 5) + struct.pack("<f", 1.5)
    assert read_metadata(put(fixed + field(5, 2**63) + model(("a", "1")) + fixed)) == {"a": "1"}


def test_empty_key_and_value(put):
    assert read_metadata(put(model() + field(14, b""))) == {"": ""}


def test_no_file_a_folder_an_empty_file(put, tmp_path):
    refused(read_metadata, str(tmp_path / "none.onnx"), "no such file")
    refused(read_metadata, str(tmp_path))
    refused(read_metadata, put(b""), "an empty file")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read(put):
    path = put(OURS)
    os.chmod(path, 0)
    refused(read_metadata, path, "permission")


@pytest.mark.parametrize("percent", range(100))
def test_cut_off_at_every_percent(put, percent):
    refused(load_manifest, put(OURS[: len(OURS) * percent // 100]))


def test_cut_off_at_every_byte_of_the_head(put):
    for length in range(60):
        refused(load_manifest, put(OURS[:length]))


def test_a_foreign_model(put):
    refused(load_manifest, put(model(("author", "someone"))), "without our manifest", "tsm-edge export")


def test_no_graph(put):
    refused(read_metadata, put(field(1, 8) + prop(METADATA_KEY, to_json(ONLINE))), "no graph")


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04" + b"\0" * 100,
        b"\x89PNG\r\n\x1a\n" + b"\0" * 100,
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9000000\n",
        b"<!DOCTYPE html><html>404</html>",
        b"\xff" * 64,
        field(7, b"")[:-1] + varint(2**62),
        model() + field(14, b"\x0a\xff"),
        model() + field(14, field(1, b"\xff\xfe")),
        model() + b"\x0b",
    ],
)
def test_what_is_no_model(put, data):
    refused(load_manifest, put(data))


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=200))
def test_random_bytes(tmp_path_factory, data):
    path = str(tmp_path_factory.mktemp("random") / "model.onnx")
    with open(path, "wb") as file:
        file.write(data)
    refused(load_manifest, path)


@settings(max_examples=150, deadline=None)
@given(position=st.integers(0, len(OURS) - 1), value=st.integers(0, 255))
def test_one_wrong_byte(tmp_path_factory, position, value):
    path = str(tmp_path_factory.mktemp("flipped") / "model.onnx")
    with open(path, "wb") as file:
        file.write(OURS[:position] + bytes([value]) + OURS[position + 1 :])
    try:
        manifest = load_manifest(path)
    except InputError:
        return
    assert len(manifest.caches) == len(manifest.shift.places)  # parsed and checked


def test_the_manifest_beside(put, tmp_path):
    path, beside = put(OURS), str(tmp_path / "model.json")
    put(to_json(ONLINE).encode("utf-8") + b"\n", "model.json")
    assert load_manifest(path) == ONLINE
    stale = ONLINE._replace(fps=9.0, labels=("nothing", "b", "c"))
    put(to_json(stale).encode("utf-8"), "model.json")
    refused(lambda _: load_manifest(path), beside, "another labels, fps than the model", "stale")
    put(b"{", "model.json")
    refused(lambda _: load_manifest(path), beside, "damaged JSON")
    os.remove(beside)
    assert load_manifest(path) == ONLINE


OTHER_VERSION = to_json(ONLINE).replace('"format_version": 2,', '"format_version": 3,')


@pytest.mark.parametrize("text", ["", "{}", to_json(ONLINE)[:-9], OTHER_VERSION])
def test_a_manifest_that_is_wrong(put, text):
    refused(load_manifest, put(model((METADATA_KEY, text))), "manifest")


def test_a_whole_header_around_a_graph_that_is_none(put):
    """Our reader passes over the graph; the engine does not."""
    refused(load_engine, put(OURS))


def test_a_path_object(tmp_path):
    (tmp_path / "model.onnx").write_bytes(OURS)
    assert load_manifest(tmp_path / "model.onnx") == ONLINE


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99, 0.9999])
def test_a_real_model_cut_off(models, put, share):
    with open(os.path.join(models, "tiny_custom.onnx"), "rb") as file:
        data = file.read()
    refused(load_engine, put(data[: int(share * len(data))]))


def test_a_real_model_is_read_without_onnx(models):
    loaded = "onnx" in sys.modules
    assert load_manifest(os.path.join(models, "tiny_standard.onnx")).lowering == "standard"
    assert ("onnx" in sys.modules) == loaded
