"""One online step against one frame of the 2D network, and against a whole clip: what the shift and streaming cost.

A sliding window computes a whole clip for each decision.
"""

import contextlib
import functools
import tempfile
from statistics import median

import common
import forms

SIDES = {  # name: form
    "online step, custom": forms.BEST,
    "online step, standard": forms.FORMS["standard lowering"],
    "2D network": forms.FORMS["2D network"],
    "8-frame clip": forms.FORMS["sliding 8-frame clip"],
}


def call_of(maker, form, threads, stack):
    """Return a function that computes one step, or one clip, of a form. stack: closes its engine."""
    engine = stack.enter_context(maker.engine(form, threads))
    if form.mode == "online":
        return functools.partial(engine.step, maker.frames(), engine.new_state())
    return functools.partial(engine.clip, maker.frames(clip=form.n_segment))


def main():
    chosen = common.options(__doc__, rounds=200)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        maker = forms.Maker(folder, forms.network_of(chosen))
        sides = {name: call_of(maker, form, chosen.threads, stack) for name, form in SIDES.items()}
        seconds = common.in_turn(sides, chosen.rounds, warm_up=10)
    rows = {f"{name}, ms": 1e3 * median(values) for name, values in seconds.items()}
    for lowering in ("custom", "standard"):
        for other in ("2D network", "8-frame clip"):
            name = f"online step, {lowering}"
            rows[f"{name} / {other}"] = common.ratio(seconds, name, other)
    common.finish("step", rows, chosen)


if __name__ == "__main__":
    main()
