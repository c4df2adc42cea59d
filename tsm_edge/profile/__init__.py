"""Where the time of a frame goes, and which of two models is faster.

`tsm-edge report` draws it, on the host.
"""
