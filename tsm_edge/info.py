"""`tsm-edge info`: a model's manifest, for people and as JSON."""

import os
import sys

from tsm_edge.engines import load_manifest
from tsm_edge.manifest import to_json


def info(options):
    """Print the manifest of the model `options.file`. Raises InputError where it is not a model of ours."""
    manifest = load_manifest(options.file)
    sys.stdout.write((to_json(manifest) if options.json else render(manifest, os.path.getsize(options.file))) + "\n")
    return 0


def render(manifest, size):
    """The manifest as lines of text. size: bytes of the model file."""
    m, frame, shift = manifest, manifest.frame, manifest.shift
    cache_values = sum(c.shape[0] * c.shape[1] * c.shape[2] for c in m.caches)
    proof = m.parity.get("comparisons", [])
    rows = [
        ("recipe", m.recipe),
        ("network", "{}, width {:g}, {} classes".format(m.arch.name, m.arch.width, m.arch.num_classes)),
        ("mode", "{}, {} shift of 1/{} of the channels".format(m.mode, shift.direction, shift.fold_div)),
        ("shifts", "{} ({} dialect, trained on {} frames)".format(len(shift.places), shift.dialect, shift.n_segment)),
        ("weights", m.weights.source + ("" if m.weights.trained else " - UNTRAINED: the labels mean nothing")),
        ("sha256", m.weights.sha256),
        ("frame", "short side {}, centre {}x{}, {}".format(frame.short_side, frame.height, frame.width, frame.colour)),
        ("mean, std", "{}, {}".format(list(frame.mean), list(frame.std))),
        ("frame rate", "every frame" if m.fps is None else "{:g} frames/s".format(m.fps)),
        ("caches", "{}, {} values a stream".format(len(m.caches), cache_values)),
        ("labels", ", ".join(m.labels[:8]) + (", … {} in all".format(len(m.labels)) if len(m.labels) > 8 else "")),
        (
            "decision",
            "mean of {}, at least {:.0%}, {} in a row".format(
                m.decision.window, m.decision.threshold, m.decision.hysteresis
            ),
        ),
        ("file", "{} lowering, {}, {:.1f} MB".format(m.lowering, m.precision, size / 1e6)),
        ("proof", "{} comparisons, {}".format(len(proof), "all passed" if m.parity.get("passed") else "NOT PASSED")),
    ]
    return "\n".join("{:<11} {}".format(name, value) for name, value in rows)
