"""`python -m tsm_edge` is `tsm-edge`."""

import sys

from tsm_edge.cli import main

sys.exit(main())
