"""Templates of web pages: every text is escaped, and shown without secrets and control characters."""

from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from tsm_edge.text import shown


def environment(folder: Path) -> jinja2.Environment:
    """Return the environment of the templates in a folder, which may include base.css of this package.

    A value that a template lacks raises jinja2's error.
    """
    settings: Any = {"autoescape": True, "undefined": jinja2.StrictUndefined, "finalize": _safe}
    made = jinja2.Environment(loader=jinja2.FileSystemLoader([folder, Path(__file__).parent]), **settings)
    made.trim_blocks = made.lstrip_blocks = True
    return made


def _safe(value: Any) -> Any:
    """Return text without secrets and control characters; the template escapes what is markup."""
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value
