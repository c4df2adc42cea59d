"""README.md, the concept page, the questions and troubleshooting: their figures, and the messages that they explain."""

import ast
import glob
import json
import os
import re

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.test_docs import read
from tsm_edge_export import models as models_of
from tsm_edge_export import recipe as recipes

# ---------------------------------------------------------------- figures


@pytest.mark.parametrize("recipe, name", [("mobilenetv2_tsm", "MobileNetV2 1.0"), ("resnet50_tsm", "ResNet-50")])
def test_the_caches_of_the_concept_page_are_those_of_the_networks(recipe, name):
    spec = recipes.load(recipe)
    network = models_of.outline(spec.arch, spec.shift.fold_div)
    shapes = network.cache_shapes(224, 224)
    values = sum(int(np.prod(shape)) for shape in shapes)
    assert "| {} | {} | {:,} values, ".format(name, len(shapes), values) in read("docs/concept.md")


def results(name):
    with open(os.path.join(ROOT, "benchmarks", "results", name + ".json"), encoding="utf-8") as file:
        return json.load(file)["results"]


ONE_CORE = "MobileNetV2 1.0, 1 thread: {}, ms"
FIGURES = [  # (benchmark, figure, how it is written)
    ("models", ONE_CORE.format("custom op, library"), "{:.1f} ms"),
    ("models", ONE_CORE.format("sliding 8-frame clip"), "{:.1f} ms"),
    ("run", "340x256: tsm-edge, frames/s", "| {:.0f} |"),
    ("run", "340x256: published, frames/s", "| {:.0f}: the published pipeline"),
    ("cross_validation", "order: TSM online, top-1 of 2 seeds, %", "{:.0f} % right"),
    ("cross_validation", "order: TSN, top-1 of 2 seeds, %", "{:.0f} %: the same network without the shift"),
    ("few_clips", "rendered, 10 clips: accuracy, %", "gave {:.0f} % accuracy"),
]
GESTURES_FIGURES = [
    ("few_clips", "rendered, 10 clips: accuracy, %", "gave {:.1f} % on recordings"),
    ("few_clips", "rendered, 5 clips: accuracy, %", "Five clips of each label gave {:.1f} %"),
    ("few_clips", "rendered, 10 clips: training, mean CPU seconds", "took {:.0f} s on one core"),
    ("own_gestures", "first clip to running export, s", "it took {:.0f} s: "),
    ("own_gestures", "train, s", "{:.0f} s to train"),
    ("own_gestures", "right, %", "{:.0f} % of the events were right"),
    ("own_gestures", "false a minute", "and {:.1f} a minute false"),
]
CONCEPT_FIGURES = [
    ("models", ONE_CORE.format("custom op, library"), "| {:.1f} ms |"),
    ("models", ONE_CORE.format("sliding 8-frame clip"), "| {:.1f} ms |"),
    ("models", ONE_CORE.format("2D network"), "| {:.1f} ms |"),
    ("directions", "TSM online: right of order pairs, %", "| {:.1f} % |"),
    ("directions", "TSN: right of order pairs, %", "| {:.1f} % |"),
    ("cross_validation", "order: TSM online, top-1 of 2 seeds, %", "| {:.1f} % |"),
    ("cross_validation", "order: TSM offline, top-1 of 2 seeds, %", "| {:.1f} % |"),
]
FAQ_FIGURES = [
    ("directions", "offline, run online: top-1, %", "{:.1f} % of the clips"),
    ("directions", "TSM offline: top-1, %", "has {:.1f} %"),
    ("models", "ResNet-50, 1 thread: custom op, library, ms", "{:.0f} ms with ResNet-50"),
    ("models", "MobileNetV2 1.0, 1 thread: sliding 8-frame clip / custom op, library", "{:.1f} times"),
]


@pytest.mark.parametrize(
    "page, benchmark, figure, form",
    [("README.md",) + row for row in FIGURES]
    + [("docs/concept.md",) + row for row in CONCEPT_FIGURES]
    + [("docs/faq.md",) + row for row in FAQ_FIGURES]
    + [("docs/your-own-gestures.md",) + row for row in GESTURES_FIGURES],
)
def test_a_figure_is_that_of_the_results(page, benchmark, figure, form):
    assert form.format(results(benchmark)[figure]) in " ".join(read(page).split())


def test_the_warm_up_is_that_of_the_evaluation_page():
    line = re.search(r"top-1 by frames seen: (.*)$", read("docs/evaluation.md"), re.M).group(1)
    seen = dict(re.findall(r"(\d+): ([\d.]+)%", line))
    words = "{:.0f} % of 48 rendered clips the right label from one frame, {:.0f} % from five and {:.0f} % from eight"
    assert words.format(*(float(seen[count]) for count in "158")) in " ".join(read("docs/concept.md").split())


# ---------------------------------------------------------------- messages


def messages(page):
    """The messages that a page explains: the first column of its tables with the heading "message"."""
    found = []
    for table in re.findall(r"^\| message .*\n\|[-|]+\n((?:\|.*\n)+)", read(page), re.M):
        found += re.findall(r"^\| `([^`]+)` \|", table, re.M)
    return found


def literals():
    """All texts in the code, with each field that is filled in later as `…`."""
    for folder in ("tsm_edge", "export/tsm_edge_export"):
        for path in glob.glob(os.path.join(ROOT, folder, "**", "*.py"), recursive=True):
            with open(path, encoding="utf-8") as file:
                tree = ast.parse(file.read())
            for node in ast.walk(tree):
                if isinstance(node, ast.JoinedStr):
                    yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield re.sub(r"\{[^{}]*\}|%[sd.\dg]+", "…", node.value)


def is_in(message, texts):
    """Whether a text has the message's fixed parts in their order; a `…` of the text stands for anything."""
    parts = [re.escape(part) for part in message.split("…")]
    pattern = re.compile(".*".join(parts).replace(r"\ ", " "), re.DOTALL)
    return any(pattern.search(text) for text in texts)


@pytest.fixture(scope="module")
def texts():
    return list(literals())


def test_every_table_of_messages_is_read():
    assert (
        len(messages("docs/troubleshooting.md"))
        == len(re.findall(r"^\| `", read("docs/troubleshooting.md"), re.M))
        > 30
    )


@pytest.mark.parametrize("message", messages("docs/troubleshooting.md"))
def test_a_message_is_one_of_the_code(message, texts):
    assert is_in(message.replace("/dev/video…", "…"), texts)


def test_a_message_that_no_code_has_is_found(texts):
    assert not is_in("no device … (missing: …)", texts) and not is_in("this page invents … it", texts)


# ---------------------------------------------------------------- questions


def test_every_question_names_a_thread_by_its_number():
    questions = re.split(r"^### ", read("docs/faq.md"), flags=re.M)[1:]
    assert 12 <= len(questions) <= 30
    for question in questions:
        threads = re.findall(
            r"\[(MIT|mmaction2) (\d+)\]\(https://github\.com/([\w-]+/[\w-]+)/(?:issues|pull)/(\d+)\)", question
        )
        assert threads, question
        for name, number, repository, linked in threads:
            owner = {"MIT": "mit-han-lab/temporal-shift-module", "mmaction2": "open-mmlab/mmaction2"}[name]
            assert (repository, linked) == (owner, number), question


def test_every_page_is_in_the_index():
    linked = set(re.findall(r"\]\(([\w-]+\.md)", read("docs/README.md")))
    pages = {os.path.basename(path) for path in glob.glob(os.path.join(ROOT, "docs", "*.md"))}
    assert pages - linked == {"README.md"}
