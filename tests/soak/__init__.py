"""Hours of frames through the real `tsm-edge run`, accelerated, with faults: python -m tests.soak (`make soak`)."""
