"""Build the documentation site: make_docs.py [FOLDER], by default build/docs.

The Python API comes from the docstrings, by pdoc. The pages are the repository's Markdown files, each at its own path
with .html for .md, so that links between them hold. The build ends with exit code 1 at a public name without a
docstring, a docstring that names what does not exist, a link that leads nowhere, or a warning.
"""

import argparse
import glob
import importlib
import inspect
import os
import re
import shutil
import sys
import warnings
from pathlib import Path

import jinja2
import markdown2
import pdoc.doc
import pdoc.render

from tsm_edge.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
API = (  # the modules that other programs may import
    "tsm_edge",
    "tsm_edge.engines",
    "tsm_edge.engines.base",
    "tsm_edge.engines.checksums",
    "tsm_edge.errors",
    "tsm_edge.heads",
    "tsm_edge.heads.base",
    "tsm_edge.manifest",
    "tsm_edge.preprocess",
    "tsm_edge.records",
    "tsm_edge.registry",
    "tsm_edge.session",
    "tsm_edge.shift",
    "tsm_edge.sinks",
    "tsm_edge.sinks.base",
    "tsm_edge.sources",
    "tsm_edge.sources.base",
    "tsm_edge.sources.request",
    "tsm_edge_export",
    "tsm_edge_export.checkpoints",
    "tsm_edge_export.evaluation.evaluate",
    "tsm_edge_export.exporter",
    "tsm_edge_export.functions",
    "tsm_edge_export.models",
    "tsm_edge_export.models.network",
    "tsm_edge_export.recipe",
    "tsm_edge_export.torch_engine",
    "tsm_edge_export.training.train",
    "tsm_edge_export.verify",
)
METADATA = "tsm_edge.manifest", "tsm_edge.sha256"  # keys in an ONNX file, which look like names of ours
OPTIONS_OF = {"EvaluationRequest": "eval"}  # a tuple whose fields are the options of a command -> that command
PAGES = "*.md", "docs/*.md", "benchmarks/*.md", "devices/**/*.md", "kernels/**/*.md", "export/**/*.md"
EXTRAS = {"fenced-code-blocks": None, "tables": None, "header-ids": None, "cuddled-lists": None, "code-friendly": None}
TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{ title }}</title>
<style>
body {font: 16px/1.5 system-ui, sans-serif; margin: 0; display: flex; color: #222}
nav {flex: 0 0 13em; padding: 1.5em; background: #f4f4f4; min-height: 100vh} nav a {display: block}
main {flex: 1; min-width: 0; max-width: 60em; padding: 0 2em 4em}
a {color: #0b5cad; text-decoration: none} img {max-width: 100%}
pre {background: #f4f4f4; padding: .8em; overflow-x: auto} code {font-size: 90%}
table {border-collapse: collapse; display: block; overflow-x: auto} td, th {border: 1px solid #ccc; padding: .3em .6em}
</style></head>
<body><nav>{% for path, name in pages %}<a href="{{ root }}{{ path }}">{{ name }}</a>{% endfor %}
<a href="{{ root }}api/index.html">Python API: reference</a></nav>
<main>{{ body }}</main></body></html>
"""


# ---------------------------------------------------------------- the Python API


def load(name):
    """Return a module as pdoc sees it. pdoc reads a module's dictionary, into which `tsm_edge` puts some names late."""
    module = importlib.import_module(name)
    for late in getattr(module, "__all__", ()):
        vars(module).setdefault(late, getattr(module, late))
    return pdoc.doc.Module(module)


def members(namespace):
    """Yield each public member of a pdoc Module or Class, and theirs."""
    for member in namespace.own_members:
        if not member.name.startswith("_") and member.kind != "module":
            yield member
            if member.kind == "class":
                yield from members(member)


def named(docstring):
    """Return the names that a class docstring describes, as "name: text"."""
    return set(re.findall(r"\w+", " ".join(re.findall(r"(?:^|\s)((?:\w+, )*\w+):\s", docstring))))


def commented(cls):
    """Return the comment of each field of a named tuple that has one: behind it, or in the lines above it."""
    if cls.__name__ in OPTIONS_OF:
        parser = argparse.ArgumentParser()
        COMMANDS.load(OPTIONS_OF[cls.__name__]).add_options(parser)
        return {action.dest: action.help for action in parser._actions if action.help}
    found, above = {}, []
    for line in inspect.getsource(cls).splitlines():
        field = re.match(r"    (\w+): [^#]*?(?:  # (?!type: ignore)(.*))?$", line)
        if field and (field[2] or above):
            found[field[1]] = " ".join([*above, field[2] or ""]).strip()
        note = re.match(r"    # (.*)", line)
        above = [*above, note[1]] if note else []
    return found


def undocumented(module):
    """Return the public names of a module that nothing describes: functions, classes, methods, properties, fields."""
    found = [] if module.docstring else [module.fullname]
    for member in members(module):
        fields = getattr(member.obj, "_fields", ()) if member.kind == "class" else ()
        of_python = f"{member.name}({', '.join(fields)})"  # what a named tuple without a docstring gets
        if member.kind != "variable" and member.docstring in ("", of_python):
            found.append(member.fullname)
        if member.kind == "class":
            known = named(member.docstring) | set(commented(member.obj))
            unknown = [name for name in fields if name not in known]
            for name, value in vars(member.obj).items():
                if isinstance(value, property) and not name.startswith("_") and not inspect.getdoc(value):
                    unknown.append(name)
            found += [f"{member.fullname}.{name}" for name in unknown]
    return found


def unknown_names(module):
    """Return (where, name) of each dotted name of ours in a docstring that cannot be imported."""
    dotted = re.compile(r"(?<![\w./-])tsm_edge(?:_export)?(?:\.[A-Za-z_]\w*)+(?![\w/-])")
    pairs = [
        (member.fullname, name) for member in [module, *members(module)] for name in dotted.findall(member.docstring)
    ]
    return [(where, name) for where, name in pairs if name not in METADATA and not exists(name)]


def exists(name):
    """Return whether a dotted name is a module, or something inside one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:]:
            if not hasattr(value, part):
                return part in getattr(value, "__annotations__", {})
            value = getattr(value, part)
        return True
    return False


def docstring_faults(modules):
    """Return what is wrong with the docstrings of pdoc Modules, one line each."""
    found = [f"{name}: no docstring" for module in modules for name in undocumented(module)]
    found += [f"{at}: its docstring names {name}: no such name" for m in modules for at, name in unknown_names(m)]
    return found


def build_api(modules, folder):
    """Write the reference of modules by name into a folder."""
    # What has no docstring is a constant, which a comment describes, or a field, which its class describes.
    pdoc.render.configure(docformat="google", include_undocumented=False, footer_text="tsm-edge", show_source=False)
    for module in modules.values():
        for member in members(module):
            if member.kind == "class":
                for name in getattr(member.obj, "_fields", ()):
                    member.get(name).docstring = commented(member.obj).get(name, "")
        write(folder / (module.fullname.replace(".", "/") + ".html"), pdoc.render.html_module(module, modules))
    write(folder / "index.html", pdoc.render.html_index(modules))
    write(folder / "search.js", pdoc.render.search_index(modules))


# ---------------------------------------------------------------- the pages


def build_pages(root, folder):
    """Write the Markdown pages below `root` into a folder. Returns the links that lead nowhere, one line each."""
    paths = sorted({os.path.relpath(path, root) for p in PAGES for path in glob.glob(f"{root}/{p}", recursive=True)})
    paths.sort(key=lambda path: (path != "README.md", path.count(os.sep) > 1 or not path.startswith("docs"), path))
    texts = {path: (root / path).read_text(encoding="utf-8") for path in paths}
    titles = [(html_path(path), re.search(r"^# (.*)", text, re.M)[1].replace("`", "")) for path, text in texts.items()]
    template = jinja2.Environment().from_string(TEMPLATE)
    for path, text in texts.items():
        body = markdown2.markdown(re.sub(r"(?<=\]\()(?!https?:)[^)\s]+", lambda m: moved(m[0]), text), extras=EXTRAS)
        up = "../" * path.count(os.sep)
        title = dict(titles)[html_path(path)]
        write(folder / html_path(path), template.render(title=title, body=body, pages=titles, root=up))
    write(folder / "index.html", (folder / "README.html").read_text(encoding="utf-8"))
    return [fault for path in paths for fault in link_faults(root, folder, path)]


def html_path(path):
    return path[: -len(".md")] + ".html"


def moved(link):
    """Return a link between Markdown files as one between the pages made of them."""
    target, mark, anchor = link.partition("#")
    return (html_path(target) if target.endswith(".md") else target) + mark + anchor


def link_faults(root, folder, path):
    """Return the relative links of a page that lead nowhere. A file of the repository that it links is copied."""
    found = []
    page = folder / html_path(path)
    for link in re.findall(r'(?:href|src)="(?!https?:|data:)([^"]+)"', page.read_text(encoding="utf-8")):
        target, _, anchor = link.partition("#")
        there = Path(os.path.normpath(page.parent / target)) if target else page
        source = root / os.path.relpath(there, folder)
        if not there.exists() and source.is_file():
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, there)
        if not there.exists():
            found.append(f"{path}: the link {link} leads nowhere")
        elif anchor and f'id="{anchor}"' not in there.read_text(encoding="utf-8"):
            found.append(f"{path}: the link {link} leads to no heading")
    return found


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def main(folder="build/docs"):
    warnings.simplefilter("error")  # pdoc's, and Python's on our own docstrings
    folder = Path(folder).resolve()
    if folder.exists() and any(folder.iterdir()) and not (folder / "api" / "search.js").exists():
        print(f"make_docs: error: {folder} holds other files\n  do:       name an empty folder", file=sys.stderr)
        return 2
    shutil.rmtree(folder, ignore_errors=True)
    modules = {name: load(name) for name in API}
    build_api(modules, folder / "api")
    faults = docstring_faults(modules.values()) + build_pages(ROOT, folder)
    for fault in faults:
        print("make_docs: " + fault, file=sys.stderr)
    if faults:
        return 1
    print(f"wrote {folder / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
