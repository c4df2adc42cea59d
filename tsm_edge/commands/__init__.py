"""The commands of `tsm-edge`, one module each.

A command's module has two functions: `add_options(parser)` adds its arguments to an `argparse.ArgumentParser`, and
`run(options)` does the work and returns the exit code. A module is imported only where its command was typed.
"""

from tsm_edge.registry import Entry, Registry

COMMANDS = Registry(
    "command",
    [
        Entry("run", "tsm_edge.commands.run", "stream videos and cameras through a model", extra="run"),
        Entry("record", "tsm_edge.commands.record", "record labelled clips of your own", extra="run"),
        Entry("profile", "tsm_edge.commands.profile", "measure where the time of a frame goes", extra="run"),
        Entry("compare", "tsm_edge.commands.compare", "compare profiles or engines; a gate for CI", extra="run"),
        Entry("build", "tsm_edge.commands.build", "build a TensorRT engine on the GPU that will run it"),
        Entry("info", "tsm_edge.commands.info", "show what a model says about itself"),
        Entry("doctor", "tsm_edge.commands.doctor", "show what this machine has, and what is missing"),
        Entry("completion", "tsm_edge.commands.completion", "complete commands in bash, zsh or fish", extra="run"),
    ]
    + [
        Entry(key, "tsm_edge_export.commands." + module, summary + " (host only)", extra="export")
        for key, module, summary in (
            ("demo", "demo", "run the shipped model on rendered gestures"),
            ("export", "export", "export a checkpoint as a verified ONNX model"),
            ("verify", "verify", "check that clips, torch steps and ONNX steps of a model agree"),
            ("train", "train", "train a model, or fine-tune a checkpoint"),
            ("eval", "evaluate", "measure accuracy on clips, or events on a stream"),
            ("report", "report", "write a web page from a profile"),
        )
    ],
)
