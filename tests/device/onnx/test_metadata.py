"""Reading ONNX metadata without onnx: files made here byte by byte, damaged in every place."""

import json
import os
import struct
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device.test_manifest import ONLINE
from tsm_edge.engines import load_engine, load_manifest, read_model_file
from tsm_edge.errors import InputError
from tsm_edge.manifest import METADATA_KEY, to_json
from tsm_edge.onnx.digest import DIGEST_KEY, with_digest
from tsm_edge.onnx.metadata import read_model
from tsm_edge.onnx.protobuf import fields


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
    """A ModelProto of IR 8, a producer, a graph of 600 nodes and a weight, one opset, and the properties."""
    node = field(1, field(4, b"Step") + field(7, b"tsm_edge"))
    weight = field(5, field(1, 2) + field(2, 1) + field(8, b"w") + field(9, b"\0" * 8))
    head = field(1, 8) + field(2, b"pytorch") + field(7, node * 600 + weight) + field(8, field(2, 13))
    return head + b"".join(prop(*pair) for pair in properties)


def ours(text, *properties):
    """A model with a manifest, and with the checksum."""
    return with_digest(model((METADATA_KEY, text), *properties))


OURS = ours(to_json(ONLINE), ("note", "x"))


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


def metadata(path):
    return read_model(path).metadata


def test_properties(put):
    assert metadata(put(model())) == {}
    assert metadata(put(model(("a", "1"), ("\u00fc", "\u624b" * 500)))) == {"a": "1", "\u00fc": "\u624b" * 500}
    assert load_manifest(put(OURS)) == ONLINE


def test_all_wire_types_are_passed_over(put):
    fixed = varint(40 << 3 | 1) + struct.pack("<d", 1.5) + varint(41 << 3 | 5) + struct.pack("<f", 1.5)
    assert metadata(put(fixed + field(5, 2**63) + model(("a", "1")) + fixed)) == {"a": "1"}


def test_empty_key_and_value(put):
    assert metadata(put(model() + field(14, b""))) == {"": ""}


def test_no_file_a_folder_an_empty_file(put, tmp_path):
    refused(read_model, str(tmp_path / "none.onnx"), "no such file")
    refused(read_model, str(tmp_path))
    refused(read_model, put(b""), "an empty file")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read(put):
    path = put(OURS)
    os.chmod(path, 0)
    refused(read_model, path, "permission")


@pytest.mark.parametrize("percent", range(100))
def test_cut_off_at_every_percent(put, percent):
    refused(load_manifest, put(OURS[: len(OURS) * percent // 100]))


def test_cut_off_at_every_byte_of_the_head(put):
    for length in range(60):
        refused(load_manifest, put(OURS[:length]))


def test_a_foreign_model(put):
    refused(load_manifest, put(model(("author", "someone"))), "without our manifest", "tsm-edge export")


def test_no_graph(put):
    refused(read_model, put(field(1, 8) + prop(METADATA_KEY, to_json(ONLINE))), "no graph")


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
    if value == OURS[position]:
        assert load_manifest(path) == ONLINE
    else:
        refused(load_manifest, path)


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
    refused(load_manifest, put(ours(text)), "manifest")


def test_a_whole_header_around_a_graph_that_is_none(put):
    """Our reader looks at a few fields of the graph alone; the engine needs all of it."""
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


def test_the_checksum_is_stated_and_checked(put):
    digest = read_model_file(put(OURS)).sha256
    assert metadata(put(OURS))[DIGEST_KEY] == digest and len(digest) == 64
    assert with_digest(OURS) == OURS and with_digest(with_digest(model())) == with_digest(model())
    assert read_model(put(model())).sha256 is None


def test_the_place_of_the_checksum_does_not_matter(put):
    """A program that rewrites the file may move the property: what it covers has the same order as before."""
    start = OURS.rindex(prop(DIGEST_KEY, read_model(put(OURS)).sha256))
    assert load_manifest(put(OURS[start:] + OURS[:start])) == ONLINE


@pytest.mark.parametrize("key", [DIGEST_KEY, "tsm_edge.sha257", ""])
@pytest.mark.parametrize("value", ["", "0" * 64, "no digest"])
def test_another_checksum_or_none(put, key, value):
    plain = model((METADATA_KEY, to_json(ONLINE)))
    refused(load_manifest, put(plain), "no checksum", DIGEST_KEY)
    refused(load_manifest, put(plain + prop(key, value)), "checksum")
    refused(load_manifest, put(OURS + prop(key, value)), "checksum")


def test_a_model_of_format_version_1_needs_no_checksum(put, caplog):
    old = json.loads(to_json(ONLINE._replace(outputs=ONLINE.outputs[:1])))
    del old["task"], old["outputs"]
    path = put(model((METADATA_KEY, json.dumps(dict(old, format_version=1)))))
    for _ in range(2):
        assert read_model_file(path).sha256 is None
    assert [record.getMessage().count("no checksum") for record in caplog.records] == [1]
    refused(load_manifest, put(ours(json.dumps(dict(old, format_version=1)))[:-1]))


EXTERNAL = field(13, field(1, b"location") + field(2, b"weights.bin"))
ELSEWHERE = {
    "a weight": field(5, field(1, 2) + field(8, b"w") + EXTERNAL + field(14, 1)),
    "a weight that says so alone": field(5, field(1, 2) + field(8, b"w") + field(14, 1)),
    "a constant of a node": field(1, field(5, field(1, b"value") + field(5, EXTERNAL + field(14, 1)))),
    "a sparse weight": field(15, field(1, field(8, b"w") + EXTERNAL)),
}


@pytest.mark.parametrize("what", sorted(ELSEWHERE))
def test_values_in_another_file_are_refused(put, what):
    """No checksum covers them."""
    data = field(1, 8) + field(7, ELSEWHERE[what]) + prop(METADATA_KEY, to_json(ONLINE))
    refused(load_manifest, put(with_digest(data)), "in another file")
    refused(load_manifest, put(with_digest(OURS + field(25, ELSEWHERE["a constant of a node"]))), "in another file")


def test_names_that_resemble_external_data_are_none(put):
    graph = field(1, field(1, b"location") + field(2, b"location") + field(7, b"tsm_edge")) + field(2, b"location")
    data = (
        field(1, 8)
        + field(7, graph)
        + prop(METADATA_KEY, to_json(ONLINE._replace(labels=("location", "b", "c"), decision={})))
    )
    assert load_manifest(put(with_digest(data))).labels[0] == "location"


def test_a_file_that_changes_is_read_again(put):
    """Also where the change keeps its size and its time of modification, a moment after it was read."""
    path = put(OURS)
    os.utime(path, (1e9, 1e9))
    assert load_manifest(path) == ONLINE
    with open(path, "r+b") as file:
        file.seek(len(OURS) // 2)
        byte = file.read(1)
        file.seek(len(OURS) // 2)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, (1e9, 1e9))
    refused(load_manifest, path, "damaged or changed")


@pytest.mark.parametrize(
    "kind, changes, part",
    [
        ("standard in the place of custom", {"lowering": "standard"}, "lowering"),
        ("float16 in the place of float32", {"precision": "float16"}, "precision"),
        ("a TensorRT precision", {"precision": "fp16"}, "precision"),
    ],
)
def test_a_manifest_that_contradicts_the_graph(put, kind, changes, part):
    refused(load_manifest, put(ours(to_json(ONLINE._replace(**changes)))), "manifest " + part)


def test_custom_lowering_without_a_node_of_ours_and_float32_on_float16(put):
    manifest = prop(METADATA_KEY, to_json(ONLINE))
    plain, half = field(1, field(4, b"Relu")), field(5, field(2, 10) + field(8, b"w"))
    step = field(1, field(4, b"Step") + field(7, b"tsm_edge"))
    refused(load_manifest, put(with_digest(field(7, plain) + manifest)), "manifest lowering", "without nodes")
    refused(load_manifest, put(with_digest(field(7, step + half) + manifest)), "manifest precision", "float16")


@pytest.mark.parametrize("name", ["tiny_custom", "tiny_offline"])
@pytest.mark.parametrize("fold_div", [2, 4, 9, 1024])
def test_another_fold_div_than_the_graph_has(put, models, name, fold_div):
    with open(os.path.join(models, name + ".onnx"), "rb") as file:
        data = file.read()
    manifest = load_manifest(put(data))
    changed = manifest._replace(shift=manifest.shift._replace(fold_div=fold_div))
    others = b"".join(part.raw for part in fields(data) if part.number != 14)
    path = put(with_digest(others + prop(METADATA_KEY, to_json(changed))))
    refused(load_manifest, path, "manifest shift.fold_div", "{}, where".format(fold_div))
