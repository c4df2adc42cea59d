"""The families of hostile inputs: a module each, whose functions marked with `kind` make cases."""

from tests.hostile.families import (
    checkpoints,
    make_values,
    models,
    names,
    options,
    outputs,
    packages,
    signals,
    sources,
    texts,
)

MODULES = (models, checkpoints, texts, sources, outputs, options, names, make_values, signals, packages)
FAMILIES = {module.__name__.rsplit(".", 1)[1]: module for module in MODULES}
