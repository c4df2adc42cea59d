"""Addresses of sources as they may be shown: without what is secret in them."""

import re


def without_password(url: str) -> str:
    """Return ``url`` with the password of ``scheme://user:password@host`` replaced by ``***``."""
    return re.sub(r"^([^:/]+://[^:/@]*):(?![0-9]+/).*@", r"\1:***@", url)  # not the port of host:80/a@b
