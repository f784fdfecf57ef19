"""The entry point of `uhd` and of `python -m uhd_edge.cli`."""

from __future__ import annotations

import gc
import sys

# By default Python collects garbage after every 700 new objects. Imported code is not garbage, and
# these collections take a twelfth of the start of `uhd ask`.
OBJECTS_BETWEEN_COLLECTIONS = 100_000


def run() -> None:
    """Run `uhd`; an interrupt during the imports exits as quietly as a later one."""
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    try:
        from uhd_edge.cli.watched import is_watched, watch

        if is_watched(sys.argv[1:]):
            watch()
        from uhd_edge.cli.main import run as run_uhd
    except KeyboardInterrupt:
        sys.exit(130)
    run_uhd()


if __name__ == "__main__":
    run()
