"""The shape of the two packages, read from their source: layers, circles, sizes, annotations, docstrings, tables."""

import ast
import functools
import os

import pytest

from tests.conftest import ROOT

PACKAGES = {"tsm_edge": os.path.join(ROOT, "tsm_edge"), "tsm_edge_export": os.path.join(ROOT, "export/tsm_edge_export")}
MAX_LINES = 410
# A part imports from its own row and from those below. The package itself (its `__init__`) stands above all.
LAYERS = (
    {"", "__main__", "cli"},
    {"commands"},
    {"session", "profile", "recording"},
    {"heads", "engines", "sources", "sinks"},
    {"preprocess", "geometry", "onnx", "native", "machine", "files", "manifest", "records", "registry", "schema"}
    | {"timing", "shift", "tolerances", "toml_file", "interrupt"},
    {"errors", "text"},
)
# Methods that classes of other packages document.
DOCUMENTED_ELSEWHERE = {"Module": {"forward"}, "Function": {"forward"}}


class Source:
    """One module: its dotted name, path, text and syntax tree."""

    def __init__(self, name, path):
        self.name, self.path = name, path
        self.is_package = os.path.basename(path) == "__init__.py"
        with open(path, encoding="utf-8") as file:
            self.text = file.read()
        self.tree = ast.parse(self.text, path)

    def at(self, node):
        return "{}:{}".format(os.path.relpath(self.path, ROOT), node.lineno)


@functools.lru_cache(None)
def sources():
    """{dotted name: Source} of both packages."""
    found = {}
    for package, top in PACKAGES.items():
        for folder, _, files in os.walk(top):
            for file in sorted(files):
                if file.endswith(".py"):
                    path = os.path.join(folder, file)
                    name = os.path.relpath(path, os.path.dirname(top))[: -len(".py")].replace(os.sep, ".")
                    name = name[: -len(".__init__")] if name.endswith(".__init__") else name
                    assert name.split(".")[0] == package
                    found[name] = Source(name, path)
    return found


def imports(source):
    """(node, dotted name of a module of ours) for each import of a module, at load or inside a function."""
    known = sources()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in known:
                    yield node, alias.name
        elif isinstance(node, ast.ImportFrom):
            above = source.name.split(".")
            if node.level:
                above = above[: len(above) - node.level + source.is_package]
            base = ".".join((above if node.level else []) + ([node.module] if node.module else []))
            for alias in node.names:
                if base + "." + alias.name in known:
                    yield node, base + "." + alias.name
                elif base in known and alias.name != "__version__":
                    yield node, base


def part(name):
    """The part of tsm_edge that a module belongs to: "engines" of "tsm_edge.engines.base"."""
    return (name.split(".") + [""])[1]


def circles(graph):
    """The groups of nodes that reach each other, by Tarjan's algorithm."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for following in graph[node]:
            if following not in index:
                visit(following)
            if following in stack:
                low[node] = min(low[node], low[following])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1 or node in graph[node]:
                found.append(sorted(group))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def test_the_finder_of_circles():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"d"}, "e": set()}) == [["b", "c"], ["d"]]


def test_no_module_imports_itself_by_a_detour():
    graph = {name: {module for _, module in imports(source)} for name, source in sources().items()}
    assert circles(graph) == []


def test_no_import_leads_upwards():
    row = {name: index for index, names in enumerate(LAYERS) for name in names}
    offenders = []
    for name, source in sources().items():
        if name.split(".")[0] == "tsm_edge":
            assert part(name) in row, "{} belongs to no layer".format(name)
            for node, module in imports(source):
                if module.split(".")[0] == "tsm_edge" and row[part(module)] < row[part(name)]:
                    offenders.append("{} imports {}".format(source.at(node), module))
    assert not offenders, "\n".join(offenders)


def test_the_device_half_names_modules_of_the_host_half_in_the_table_of_commands_alone():
    offenders = []
    for name, source in sources().items():
        if name.split(".")[0] != "tsm_edge":
            continue
        offenders += [source.at(node) for node, module in imports(source) if module.split(".")[0] != "tsm_edge"]
        if name != "tsm_edge.commands":
            for node in ast.walk(source.tree):
                text = node.value if isinstance(node, ast.Constant) else None
                offenders += [source.at(node)] if isinstance(text, str) and "tsm_edge_export." in text else []
    assert not offenders, "\n".join(offenders)


def test_no_file_is_long():
    lengths = {os.path.relpath(s.path, ROOT): s.text.count("\n") for s in sources().values()}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_LINES} == {}


# ---------------------------------------------------------------- annotations and docstrings


def definitions(source):
    """(qualified name, class or None, node) of every public class, function and method of a module."""

    def walk(nodes, owner):
        for node in nodes:
            if isinstance(node, (ast.If, ast.Try)):
                yield from walk(ast.iter_child_nodes(node), owner)
            elif isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                special = node.name.startswith("__") and node.name.endswith("__")
                if node.name.startswith("_") and not (special and owner is not None):
                    continue
                yield owner, node
                if isinstance(node, ast.ClassDef):
                    yield from walk(node.body, node)

    return walk(source.tree.body, None)


def decorated(node, *names):
    return any(ast.unparse(decorator).split("(")[0].split(".")[-1] in names for decorator in node.decorator_list)


def test_every_public_function_is_annotated():
    offenders = []
    for source in sources().values():
        for owner, node in definitions(source):
            if isinstance(node, ast.ClassDef):
                continue
            arguments = node.args.posonlyargs + node.args.args
            if owner is not None and not decorated(node, "staticmethod"):
                arguments = arguments[1:]
            arguments = arguments + node.args.kwonlyargs + [node.args.vararg, node.args.kwarg]
            missing = [a.arg for a in arguments if a is not None and a.annotation is None]
            missing += [] if node.returns is not None else ["return"]
            if missing:
                offenders.append("{} {}: {}".format(source.at(node), node.name, ", ".join(missing)))
    assert not offenders, "\n".join(offenders)


@functools.lru_cache(None)
def documented():
    """{class name: names of the methods that it documents} and {class name: names of its bases}, of both packages."""
    methods, bases = {name: set(names) for name, names in DOCUMENTED_ELSEWHERE.items()}, {}
    for source in sources().values():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ClassDef):
                functions = [item for item in node.body if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef))]
                own = {item.name for item in functions if ast.get_docstring(item)}
                methods[node.name] = methods.get(node.name, set()) | own
                bases.setdefault(node.name, []).extend(ast.unparse(base).split(".")[-1] for base in node.bases)
    return methods, bases


def inherits_docstring(owner, name):
    methods, bases = documented()
    waiting, seen = [ast.unparse(base).split(".")[-1] for base in owner.bases], set()
    while waiting:
        base = waiting.pop()
        if base in seen:
            continue
        seen.add(base)
        if name in methods.get(base, ()):
            return True
        waiting += bases.get(base, [])
    return False


def test_everything_public_has_a_docstring_or_inherits_one():
    offenders = []
    for source in sources().values():
        if source.tree.body and not ast.get_docstring(source.tree):
            offenders.append("{}: the module".format(os.path.relpath(source.path, ROOT)))
        for owner, node in definitions(source):
            if node.name.startswith("__") or ast.get_docstring(node) or decorated(node, "setter", "overload"):
                continue
            if isinstance(node, ast.ClassDef) or owner is None or not inherits_docstring(owner, node.name):
                offenders.append("{} {}".format(source.at(node), node.name))
    assert not offenders, "\n".join(offenders)


# ---------------------------------------------------------------- tables


def registries():
    from tsm_edge.commands import COMMANDS
    from tsm_edge.engines import ENGINES
    from tsm_edge.heads import TASKS
    from tsm_edge.sinks import SINKS
    from tsm_edge.sources import SOURCES

    return COMMANDS, ENGINES, SOURCES, SINKS, TASKS


def test_choices_are_written_in_one_place():
    """No list of devices, of preprocessing paths, or of a registry's keys is written out a second time."""
    from tsm_edge.engines import ENGINES
    from tsm_edge.preprocess import PATHS

    devices = {entry.device for entry in ENGINES}
    keys = [{entry.key for entry in registry} for registry in registries()]
    offenders = []
    for name, source in sources().items():
        for node in ast.walk(source.tree):
            if not isinstance(node, (ast.Tuple, ast.List, ast.Set)):
                continue
            texts = {item.value for item in node.elts if isinstance(item, ast.Constant)}
            again = texts >= devices or (texts >= set(PATHS) and name != "tsm_edge.preprocess")
            if again or any(len(texts & own) >= 3 for own in keys):
                offenders.append("{}: {}".format(source.at(node), ast.unparse(node)))
    assert not offenders, "\n".join(offenders)


def test_registry_entries_name_what_exists(monkeypatch):
    import runpy

    import setuptools

    from tsm_edge.machine.install_hints import PACKAGES as HINTS

    settings = {}
    monkeypatch.setattr(setuptools, "setup", lambda **given: settings.update(given))
    monkeypatch.chdir(ROOT)
    runpy.run_path("setup.py")
    for registry in registries():
        for entry in registry:
            where = "{} {}".format(registry.kind, entry.key)
            assert entry.module in sources(), where
            assert entry.extra in [""] + list(settings["extras_require"]), where
            assert set(entry.packages) <= set(HINTS), where
            assert entry.summary and not entry.summary.endswith("."), where


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_the_packages_say_that_they_are_typed(package):
    assert os.path.exists(os.path.join(PACKAGES[package], "py.typed"))
