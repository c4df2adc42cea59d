"""Write the tables of commands, engines, sources and sinks in docs/*.md from the registries.

    docs_tables.py [--check] [PAGE.md ...]

A table stands between `<!-- table: NAME -->` and `<!-- end of table -->`. With --check nothing is written, and the exit
code is 1 where a page is stale.
"""

import argparse
import re
import sys
from pathlib import Path

from tsm_edge.commands import COMMANDS
from tsm_edge.engines import ENGINES
from tsm_edge.machine.install_hints import hint_for
from tsm_edge.registry import Entry
from tsm_edge.sinks import SINKS
from tsm_edge.sources import SOURCES

BLOCK = re.compile(r"(<!-- table: (\w+) -->\n)(.*?)(<!-- end of table -->)", re.DOTALL)


def install_command(entry: Entry) -> str:
    """Return what installs the packages that an entry needs beside NumPy."""
    if entry.extra:
        return f'`pip install ".[{entry.extra}]"`'
    return "; ".join(dict.fromkeys(hint_for(package, jetson=False) for package in entry.packages))


def flag(flags: list[str], metavar: str | None) -> str:
    """Return an argument in Markdown, as a user types it."""
    return "`" + " ".join(flags[-1:] + ([metavar] if metavar else [])) + "`"


def command_arguments(entry: Entry) -> str:
    """Return all arguments of a command, in Markdown."""
    parser = argparse.ArgumentParser(add_help=False)
    COMMANDS.load(entry.key).add_options(parser)
    shown = []
    for action in parser._actions:
        metavar = action.metavar if action.nargs != 0 else None
        if metavar is None and action.nargs != 0:
            metavar = "\\|".join(map(str, action.choices)) if action.choices else action.dest.upper()
        shown.append(flag(action.option_strings, str(metavar) if metavar else None))
    return " ".join(shown)


def engine_files(entry: Entry) -> str:
    """Return the model files of an engine, and the option that chooses it, in Markdown."""
    return " ".join(f"`*{extension}`" for extension in entry.matches) + f", `--device {entry.device}`"


def source_addresses(entry: Entry) -> str:
    """Return the address schemes of a source, in Markdown."""
    return " ".join(f"`{scheme}://`" for scheme in entry.matches)


def sink_options(entry: Entry) -> str:
    """Return the options that open a sink, in Markdown."""
    return " ".join(flag(list(option.flags), option.keywords.get("metavar")) for option in entry.options)


TABLES = {  # name -> (registry, titles, what stands in the third column)
    "commands": (COMMANDS, ("command", "what it does", "arguments", "install"), command_arguments),
    "engines": (ENGINES, ("engine", "what it is", "model files", "install"), engine_files),
    "sources": (SOURCES, ("source", "what it is", "addresses", "install"), source_addresses),
    "sinks": (SINKS, ("sink", "what it shows or writes", "options", "install"), sink_options),
}


def table(name: str) -> str:
    """Return one table as lines of Markdown."""
    registry, titles, third = TABLES[name]
    rows = [titles, ("---",) * len(titles)]
    rows += [(f"`{entry.key}`", entry.summary, third(entry), install_command(entry)) for entry in registry]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def filled(text: str) -> str:
    """Return a page with all of its tables as the registries have them now."""
    return BLOCK.sub(lambda found: found[1] + table(found[2]) + found[4], text)


def main(arguments: list[str]) -> int:
    """Write or check the pages. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Write the tables of docs/*.md from the registries.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a page is stale")
    parser.add_argument("pages", metavar="PAGE.md", nargs="*", type=Path, help="default: docs/*.md")
    options = parser.parse_args(arguments)
    pages = options.pages or sorted((Path(__file__).parent.parent / "docs").glob("*.md"))
    texts = {page: page.read_text(encoding="utf-8") for page in pages}
    stale = {page: new for page, text in texts.items() if (new := filled(text)) != text}
    for page, text in stale.items():
        if options.check:
            sys.stderr.write(f"{page}: stale tables; run: {Path(sys.executable).name} scripts/docs_tables.py\n")
        else:
            page.write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote {page}\n")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
