"""`tsm-edge profile` and `tsm-edge compare`: where the time of a frame goes, and which of two is faster.

measure.py runs the loop of tsm_edge/session.py with a recorder in place of its StageTimes; record.py is the file that
comes out. Nothing here draws: the page is made from the file on the host, by `tsm-edge report`.
"""
