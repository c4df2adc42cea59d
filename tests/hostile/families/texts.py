"""Recipes, configurations, lists, truths, profiles and reports: wrong values, wrong bytes, and no files at all."""

import json

from tests.hostile import values
from tests.hostile.bases import BASES, CHEAP
from tests.hostile.case import kind
from tsm_edge.sources.request import StreamRequest
from tsm_edge.toml_file import read_toml
from tsm_edge_export.recipe import Recipe
from tsm_edge_export.training.config import Config

# Bases that may run on for ever on a legal value (epochs, a slow pace): a Ctrl-C ends them, and they must end then.
ENDLESS = {"train": 6.0, "run-cameras": 4.0}
TOML = {"export": ("tiny.toml", Recipe), "train": ("train.toml", Config), "run-cameras": ("site.toml", StreamRequest)}
JSON = {"report": "a.json", "compare": "b.json", "eval-merge": "shard1.json", "eval-stream-json": "truth.json"}
LINES = {
    "record": "marks.csv",
    "eval-list": "list.txt",
    "eval-segments": "segments.csv",
    "eval-stream": "truth.csv",
    "train": "train.txt",
}
TEXT_SUFFIXES = (".toml", ".json", ".txt", ".csv")


def start(case, key, allowed):
    """Add the command of a base, on what stands in the folder already and on good assets for the rest."""
    base = BASES[key]
    case.take(*[name for name in base.takes if not (case.folder / name).exists()])
    patience = ENDLESS.get(key)
    case.run(*base.line(), allowed=(*allowed, *base.codes, *((130,) if patience else ())), stop_after=patience)
    case.outputs += base.patterns()


def fields_of(schema):
    """Return the path of every field of a schema of NamedTuples, so that new keys are covered by themselves."""
    found = []
    for name, kind_of in schema.__annotations__.items():
        inner = getattr(kind_of, "_fields", None) and kind_of
        found += [(name, *path) for path in fields_of(inner)] if inner else [(name,)]
    return found


@kind(share=8)
def toml_value(case):
    """Give one key of a TOML file a value of any type and size."""
    key = case.random.choice(("export", "export", "train", "run-cameras"))
    name, schema = TOML[key]
    tree = read_toml(str(case.assets.path(name)), "an asset")
    path = case.random.choice(fields_of(schema))
    new = values.value(case.random) if case.random.random() < 0.4 else values.number(case.random)
    place = tree["camera"][0] if schema is StreamRequest else tree
    for part in path[:-1]:
        place = place.setdefault(part, {})
    place[path[-1]] = new
    text = values.toml(tree)
    if case.random.random() < 0.08:
        new = values.DIGITS
        text = text.replace(values.toml({path[-1]: place[path[-1]]}), '"{}" = {}\n'.format(path[-1], new))
    case.write(name, text)
    case.say("{}: {} = {}".format(name, ".".join(path), ascii(new)[:60]))
    start(case, key, (0, 2))


@kind(share=6)
def json_value(case):
    """Change one value of a JSON file."""
    key = case.random.choice(sorted(JSON))
    tree = json.loads(case.assets.path(JSON[key]).read_text())
    case.say("{}: {}".format(JSON[key], values.changed_tree(case.random, tree)))
    case.write(JSON[key], json.dumps(tree))
    start(case, key, (0, 2))


@kind(share=5)
def cells(case):
    """Change one cell of a list."""
    key = case.random.choice(sorted(LINES))
    comma = LINES[key].endswith(".csv")
    rows = [row.split("," if comma else " ") for row in case.assets.path(LINES[key]).read_text().splitlines()]
    row = case.random.choice(rows)
    column = case.random.randrange(len(row))
    row[column] = values.number_text(case.random) if case.random.random() < 0.5 else values.text(case.random)
    case.say("{}: {}".format(LINES[key], ascii(row[column])[:60]))
    case.write(LINES[key], "\n".join(("," if comma else " ").join(row) for row in rows) + "\n")
    start(case, key, (0, 2))


@kind(share=8)
def bytes_of_texts(case):
    """Spoil the bytes of a text file."""
    key = case.random.choice([key for key in BASES if _texts(BASES[key])])
    name = case.random.choice(_texts(BASES[key]))
    data, what = values.spoiled_text(case.random, case.assets.path(name).read_bytes())
    case.write(name, data)
    case.say("{}: {}".format(name, what))
    start(case, key, (0, 2))


def _texts(base):
    return [name for name in base.reads if name.endswith(TEXT_SUFFIXES)]


@kind(share=10)
def special_files(case):
    """Put a folder, a pipe, a device, a broken link or an endless file in the place of a file."""
    key = case.random.choice([key for key in CHEAP if BASES[key].reads] + ["export-weights", "train"])
    base = BASES[key]
    name = case.random.choice(base.reads)
    which = case.random.choice(values.SPECIALS)
    case.take(*base.takes)
    values.put_special(case, name, which)
    case.say("{}: {} is a {}".format(key, name, which))
    # A model carries its manifest: without one beside it the answer is right.
    optional = name in ("tiny_custom.json", "tiny_standard.json") and which in ("dangling", "loop", "missing")
    may = base.codes if optional else (2,)
    patience = ENDLESS.get(key)
    case.run(*base.line(), allowed=(*may, 2, *((130,) if optional and patience else ())), stop_after=patience)
    case.outputs += base.patterns()
