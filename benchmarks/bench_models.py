"""One new frame of a stream, by everything that one could run instead: networks, forms and threads, all in turn.

torch eager and torch.compile step the network as published, with its BatchNorm. The other sides are ONNX Runtime
sessions. A sliding window computes a whole clip for each new frame. The results name what cannot run, with the reason.
"""

import contextlib
import functools
import tempfile
from statistics import median

import torch

import common
import forms

EAGER, COMPILED = "published network, torch eager", "published network, torch.compile"


def eager(maker):
    """Return a function that steps the published network by torch."""
    return stepper(maker, maker.network.step)


def compiled(maker, quick):
    """Return the same through torch.compile, which takes a minute. Raises what torch raises where it cannot."""
    if quick:
        raise LookupError("left out by --quick")
    torch._dynamo.reset()  # else code that was compiled for another number of threads
    torch._inductor.config.force_disable_caches = True
    call = stepper(maker, torch.compile(maker.network.step, dynamic=False))
    for _ in range(3):
        call()
    return call


def stepper(maker, step):
    frame = torch.from_numpy(maker.frames())
    caches = [maker.network.zero_caches(1, maker.spec.frame.height, maker.spec.frame.width)]

    def call():
        with torch.no_grad():
            outputs, caches[0] = step(frame, caches[0])
        return [output.numpy() for output in outputs]

    return call


def session(maker, form, threads, stack):
    """Return a function that takes one new frame through a form. Raises LookupError with the reason where it cannot."""
    engine = stack.enter_context(maker.engine(form, threads))
    reason = forms.usable(form, engine)
    if reason is not None:
        raise LookupError(reason)
    if form.mode == "online":
        return functools.partial(engine.step, maker.frames(), engine.new_state())
    return functools.partial(engine.clip, maker.frames(clip=form.n_segment))


def sides_of(maker, threads, quick, stack, rows, where):
    """Return {side: function}. The reason why a side is missing goes to `rows`."""
    made = {EAGER: functools.partial(eager, maker), COMPILED: functools.partial(compiled, maker, quick)}
    for name, form in forms.FORMS.items():
        made[name] = functools.partial(session, maker, form, threads, stack)
    sides = {}
    for name, make in made.items():
        side = made_or_reason(make, any_error=name == COMPILED)  # torch.compile fails in many ways
        if isinstance(side, str):
            rows[f"{where}: {name}"] = f"not measured: {side}"
        else:
            sides[name] = side
    return sides


def made_or_reason(make, any_error):
    """Return what `make` returns, or the reason why it cannot. any_error: not only a LookupError tells a reason."""
    try:
        return make()
    except LookupError as error:
        return str(error)
    except Exception as error:
        if not any_error:
            raise
        return f"{type(error).__name__}: {(str(error).splitlines() or ['no reason given'])[0]}"


def main():
    chosen = common.options(__doc__, rounds=30)
    rows = {}
    networks = [forms.TINY] if chosen.quick else [name for name in forms.NETWORKS if name != forms.TINY]
    for name in networks:
        for threads in (1,) if chosen.quick else (1, 2):
            where = f"{name}, {threads} thread{'s' * (threads > 1)}"
            torch.set_num_threads(threads)
            with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
                sides = sides_of(forms.Maker(folder, name), threads, chosen.quick, stack, rows, where)
                seconds = common.in_turn(sides, chosen.rounds)
            ours = "custom op, library" if "custom op, library" in seconds else "custom op, function body"
            for side, values in seconds.items():
                rows[f"{where}: {side}, ms"] = 1e3 * median(values)
            for side in seconds:
                if side != ours:
                    rows[f"{where}: {side} / {ours}"] = common.ratio(seconds, side, ours)
                    rows.update(common.interval(seconds, side, ours, f"{where}: "))
    common.finish("models", rows, chosen)
    if chosen.json:
        import plots

        plots.models(rows, chosen.json)


if __name__ == "__main__":
    main()
