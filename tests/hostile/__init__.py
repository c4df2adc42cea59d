"""Seeded hostile inputs for every command of `tsm-edge`, and an oracle that judges what the command did.

`python -m tests.hostile` runs them (make hostile). CONTRIBUTING.md says how to add a class of inputs.
"""
