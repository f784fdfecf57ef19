"""Where the `uhd` command and `python -m uhd_edge.cli` begin."""

from __future__ import annotations

import gc
import sys

# Python looks for garbage after every 700 new objects. What is imported is none, and looking for it
# takes a twelfth of the start of `uhd ask`.
OBJECTS_BETWEEN_COLLECTIONS = 50_000


def run() -> None:
    """Run `uhd`; an interrupt while the commands are still being imported ends as quietly as a later one."""
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    try:
        from uhd_edge.cli.main import run as run_uhd
    except KeyboardInterrupt:
        sys.exit(130)
    run_uhd()


if __name__ == "__main__":
    run()
