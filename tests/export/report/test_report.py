"""`tsm-edge report`: a page that holds all it shows, escapes what it is given, and reads well in a real browser."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from tests.device import profiles
from tests.device.running import tsm_edge
from tests.hostile import values
from tsm_edge.errors import InputError
from tsm_edge.profile import record
from tsm_edge_export.report import drawings, page

HOSTILE = "<script>alert(1)</script>\"'&$x_1$ \u202e\u00e9"
DRAWN = {"latency", "stages", "trace", "layers", "samples"}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class Page(HTMLParser):
    """Tags, ids, and every attribute that could fetch something."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.links = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
                self.links.append(value)
            assert not name.startswith("on"), name


@pytest.fixture(scope="module")
def text():
    return page.render(profiles.sample())


def test_it_fetches_nothing_and_runs_nothing(text):
    read = Page(text)
    assert not {"script", "link", "iframe", "object", "embed", "img", "base"} & set(read.tags)
    assert all(link.startswith("#") for link in read.links)
    assert not re.search(r"url\((?!#)|@import|@font-face", text)
    assert "default-src 'none'" in text
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"|http-equiv', "", text)


def test_ids_are_its_own_and_every_reference_has_one(text):
    read = Page(text)
    assert len(read.ids) == len(set(read.ids))
    referenced = set(re.findall(r"url\(#([^)]+)\)", text)) | {link[1:] for link in read.links}
    referenced |= set(re.findall(r'aria-labelledby="([^"]+)"', text))
    assert referenced <= set(read.ids)


def test_it_says_what_the_profile_says(text):
    for said in (
        "NVIDIA Jetson Nano",
        "111.1",
        "paced at 30",
        "A note.",
        "TemporalShiftStep",
        "CPU-therm",
        "0.714",
        "420",
    ):
        assert said in text, said
    assert {re.sub("^caption-", "", name) for name in Page(text).ids if name.startswith("caption-")} == DRAWN


def test_drawings_take_the_pages_colours(text):
    assert not [colour for colour in drawings._STAND_IN.values() if colour in text]
    used = set(re.findall(r"var\(--(\w+)\)", text))
    blocks = [set(re.findall(r"--(\w+):", part)) for part in re.findall(r":root \{(.*?)\}", text, re.DOTALL)]
    light, dark = set().union(*blocks[::2]), set().union(*blocks[1::2])  # of the shared style, then of the page's own
    assert used <= light == dark


def test_everything_it_is_given_is_escaped():
    sample = profiles.sample()
    layer = record.Layer(HOSTILE, HOSTILE, "other", 6.0)
    hostile = sample._replace(
        date=HOSTILE,
        tsm_edge=HOSTILE,
        versions={HOSTILE: HOSTILE},
        sinks=(HOSTILE,),
        notes=(HOSTILE,),
        machine=sample.machine._replace(cpu=HOSTILE, board=HOSTILE, power_mode=HOSTILE, machine=HOSTILE),
        subject=sample.subject._replace(engine=HOSTILE, recipe=HOSTILE, backend=HOSTILE, shift_by=HOSTILE),
        source=sample.source._replace(name=HOSTILE, kind=HOSTILE, latency_from=HOSTILE),
        steady=sample.steady._replace(rule=HOSTILE),
        samples=sample.samples._replace(columns=(HOSTILE, "processors busy")),
        sensing=record.Sensing({HOSTILE: [1, 2, 3]}, {HOSTILE: [1, 2, 3]}, {HOSTILE: [1, 2, 3]}, (HOSTILE,)),
        layers=sample.layers._replace(by=HOSTILE, rule=HOSTILE, layers=(layer,) + sample.layers.layers),
    )
    text = page.render(hostile)
    assert "<script" not in text and "alert(1)" in text
    assert "$x_1$" in text  # no formula
    assert set(Page(text).tags) == set(Page(page.render(sample)).tags)
    assert HOSTILE.encode() not in text.encode()


def test_it_shows_no_secret_and_no_control_character():
    sample, address = profiles.sample(), "rtsp://user:hunter2@camera/live?token=s3cret"
    hostile = "\x1b[31mred\x1b[0m\x07 " + address
    given = sample._replace(
        notes=(hostile,),
        source=sample.source._replace(name=hostile),
        subject=sample.subject._replace(engine=hostile, recipe=hostile),
        samples=sample.samples._replace(columns=(hostile, "processors busy")),
        layers=sample.layers._replace(layers=(record.Layer(hostile, hostile, "other", 6.0), *sample.layers.layers)),
        versions={hostile: hostile},
    )
    text = page.render(given)
    assert not re.search(r"hunter2|s3cret|[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
    assert "rtsp://user:***@camera/live?token=***" in text and r"\x1b[31mred" in text


@pytest.mark.parametrize("rule", ["known by the name of the op", "not known: 3 shifts in the model, 2 concatenations"])
def test_no_word_comes_twice(rule):
    sample = profiles.sample()
    text = page.render(sample._replace(layers=sample.layers._replace(rule=rule)))
    words = re.sub(r"(?s)<svg.*?</svg>|<style.*?</style>|<[^>]+>", " | ", text)
    assert not re.findall(r"\b([a-z]+) \1\b", words)


def test_a_profile_with_less_in_it():
    sample = profiles.sample()
    least = sample._replace(
        layers=None,
        streams=None,
        cold=None,
        trace=(),
        notes=(),
        memory=record.Memory(None, None, None, 0),
        load=record.Load(0.0, None),
        samples=record.Samples((), ()),
        sensing=record.Sensing({}, {}, {}, ()),
        machine=sample.machine._replace(board=None, power_mode=None, memory_mb=None),
        source=sample.source._replace(paced=None, fps=None),
        blocks=sample.blocks._replace(rows=sample.blocks.rows[:1]),
        stages=tuple(profiles.stage(s.name, 0.0 if s.name == "sink" else s.mean, 1) for s in sample.stages),
    )
    text = page.render(least)
    assert "unknown" in text and 'id="layers"' not in text and 'id="cold"' not in text


def test_the_command(tmp_path, capsys):
    path = profiles.written(profiles.sample(), tmp_path / "p.json")
    assert tsm_edge(capsys, "report", path).code == 0
    assert (tmp_path / "p.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert tsm_edge(capsys, "report", path, "-o", tmp_path / "other.html").code == 0
    assert len(list(tmp_path.iterdir())) == 3


def test_what_is_no_profile(tmp_path, capsys):
    path = profiles.written(profiles.sample(), tmp_path / "p.json")
    (tmp_path / "foreign.json").write_text(json.dumps({"kind": "summary"}))
    for arguments, said in (
        ((tmp_path / "foreign.json",), "another kind"),
        ((tmp_path / "none.json",), "none.json"),
        ((path, "-o", path), "the same file as the profile"),
        ((path, "-o", tmp_path / "none" / "x.html"), "no folder"),
    ):
        done = tsm_edge(capsys, "report", *arguments)
        assert done.code == 2 and said in done.err
    assert sorted(file.name for file in tmp_path.iterdir()) == ["foreign.json", "p.json"]


# ---------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no browser here: scripts/need.sh chromium chromium fonts-liberation")
    return found


def browse(browser, folder, html, *options):
    """(what the browser wrote to stdout, console messages, addresses that it asked for) of one visit."""
    log = folder / "net.json"
    command = [
        browser,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
    ]
    command += [
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--disable-extensions",
    ]
    command += [f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}", "--enable-logging=stderr", "--v=0"]
    done = subprocess.run(
        [*command, "--window-size=1100,3000", *options, html.as_uri()],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout, console, list(_asked_for_by_a_page(log.read_text(encoding="utf-8", errors="replace")))


def _asked_for_by_a_page(log):
    """Addresses in the browser's log of its network, which writes one event a line; its own are of "not an origin"."""
    for line in log.splitlines():
        if '"initiator"' in line and '"url"' in line:
            params = json.loads(line.rstrip(","))["params"]
            if params["initiator"] != "not an origin" and not params["url"].startswith("file:"):
                yield params["url"]


@pytest.fixture
def html(tmp_path, text):
    (tmp_path / "p.html").write_text(text, encoding="utf-8")
    return tmp_path / "p.html"


@pytest.mark.parametrize("scheme, background", [(1, 255), (0, 0x14)])
def test_it_reads_well_on_light_and_dark(browser, tmp_path, html, scheme, background):
    """scheme: Blink's number of the preferred colour scheme, 0 dark and 1 light."""
    shot = tmp_path / "shot.png"
    options = (f"--screenshot={shot}", f"--blink-settings=preferredColorScheme={scheme}")
    _, console, addresses = browse(browser, tmp_path, html, *options)
    assert console == [] and addresses == []
    pixels = np.asarray(Image.open(shot).convert("RGB"))
    assert pixels.shape[:2] == (3000, 1100)
    assert pixels[5, 5, 0] == background
    inked = (np.abs(pixels.astype(int) - pixels[5, 5]).max(axis=2) > 60).any(axis=1)
    assert inked[:2000].mean() > 0.4  # text and drawings, most of the way down
    colours = {tuple(colour) for colour in pixels[::2, ::2].reshape(-1, 3)}
    for name in ("infer", "preprocess", "shift"):  # the drawings have the colours of the page's style sheet
        values = re.findall(rf"--{name}: #(\w+);", html.read_text(encoding="utf-8"))[1 - scheme]
        assert tuple(int(values[i : i + 2], 16) for i in (0, 2, 4)) in colours, name


def test_tables_and_drawings_are_laid_out(browser, tmp_path, html):
    """A script of the test's own, added to a copy, measures what the browser made of the page."""
    probe = """<script>window.onload = () => {
      const size = e => { const r = e.getBoundingClientRect(); return [Math.round(r.width), Math.round(r.height)]; };
      const told = {};
      for (const e of document.querySelectorAll("table, svg, h1, .notes")) told[e.id || e.tagName + size(e)] = size(e);
      told.wide = document.documentElement.scrollWidth;
      document.body.innerHTML = "<pre id=told>" + JSON.stringify(told) + "</pre>";
    }</script>"""
    text = html.read_text(encoding="utf-8").replace("default-src 'none';", "default-src 'unsafe-inline';")
    copy = tmp_path / "probed.html"
    copy.write_text(text.replace("</body>", probe + "</body>"), encoding="utf-8")
    told, _, _ = browse(browser, tmp_path, copy, "--dump-dom")
    sizes = json.loads(re.search(r'<pre id="told">(.*?)</pre>', told, re.DOTALL).group(1))
    assert sizes.pop("wide") <= 1100  # nothing sticks out to the side
    drawn = [size for name, size in sizes.items() if name.startswith("svg") and size != [0, 0]]
    assert len(drawn) == len(DRAWN) and all(width > 800 and height > 80 for width, height in drawn)
    for table in ("stages", "shifts", "cold"):
        assert sizes[table][0] > 500 and sizes[table][1] > 40, table


def test_a_phone_shows_whole_paths_and_text_that_can_be_read(browser, tmp_path):
    """At 390 pixels: nothing sticks out to the side but tables that scroll, and no text of a plot is below 8 pixels."""
    sample = profiles.sample()
    long = sample._replace(
        subject=sample.subject._replace(engine="/home/" + "a_folder_of_some_length/" * 8 + "model.onnx"),
        source=sample.source._replace(name="/media/" + "x" * 200 + ".mp4"),
        sensing=record.Sensing({"t" * 60: [1, 2, 3]}, {}, {}, ()),
        layers=sample.layers._replace(layers=(record.Layer("n" * 90, "Conv", "other", 6.0), *sample.layers.layers)),
    )
    probe = """<script>window.onload = () => {
      const told = {wide: document.documentElement.scrollWidth, page: window.innerWidth, texts: [], svgs: 0};
      for (const e of document.querySelectorAll("p, dd, dt, h1, figcaption, .notes")) {
        told.wide = Math.max(told.wide, e.getBoundingClientRect().right, e.scrollWidth);
      }
      for (const svg of document.querySelectorAll("svg")) {
        const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
        if (scale) {
          told.svgs += 1;
          for (const t of svg.querySelectorAll("text")) {
            told.texts.push(scale * parseFloat(getComputedStyle(t).fontSize));
            told.wide = Math.max(told.wide, t.getBoundingClientRect().right);
          }
        }
      }
      parent.postMessage(JSON.stringify(told), "*");
    }</script>"""
    text = page.render(long).replace("default-src 'none';", "default-src 'unsafe-inline';")
    copy = tmp_path / "probed.html"
    copy.write_text(text.replace("</body>", probe + "</body>"), encoding="utf-8")
    frame = tmp_path / "phone.html"  # a window of Chromium is at least 500 pixels wide, a frame in it is not
    frame.write_text(
        '<iframe src="probed.html" style="width: 390px; height: 3000px; border: 0"></iframe><script>'
        'onmessage = e => { document.body.innerHTML = "<pre id=told>" + e.data + "</pre>"; }</script>'
    )
    dumped, _, _ = browse(browser, tmp_path, frame, "--dump-dom", "--virtual-time-budget=5000")
    told = json.loads(re.search(r'<pre id="told">(.*?)</pre>', dumped, re.DOTALL).group(1))
    assert told["page"] == 390 and told["wide"] <= 390
    assert told["svgs"] == len(DRAWN) and min(told["texts"]) >= 8


def test_a_request_would_be_noticed(browser, tmp_path, html):
    """The two checks above see a page that does fetch and does fail."""
    copy = tmp_path / "bad.html"
    bad = '<img src="http://127.0.0.1:9/x.png"><script>throw new Error("broken")</script></body>'
    text = html.read_text(encoding="utf-8")
    copy.write_text(
        text.replace("default-src 'none'; style-src", "style-src").replace("</body>", bad), encoding="utf-8"
    )
    _, console, addresses = browse(browser, tmp_path, copy, "--dump-dom")
    assert any("broken" in line for line in console)
    assert "http://127.0.0.1:9/x.png" in addresses


def test_any_text_of_a_profile_may_be_another(tmp_path):
    """Texts are replaced one by one, which some files are refused for; a page with all the others is drawn."""
    path = tmp_path / "p.json"

    def load(tree):
        path.write_text(json.dumps(tree))
        return record.load(str(path))

    tree = json.loads(record.to_json(profiles.sample()))
    accepted, refused = 0, set()
    for place in [place for place in values.paths(tree) if isinstance(values.get(tree, place), str)]:
        good = values.get(tree, place)
        values.put(tree, place, "zq<odd>")
        try:
            load(tree)
            accepted += 1
        except InputError:
            values.put(tree, place, good)
            refused.add(place[0])
    assert refused == {"format", "stages", "blocks", "layers", "trace"}
    assert accepted > 20
    assert "zq<odd>" not in page.render(load(tree))
