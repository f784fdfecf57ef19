"""Where the `uhd` command and `python -m uhd_edge.cli` begin."""

from __future__ import annotations

import sys


def run() -> None:
    """Run `uhd`; an interrupt while the commands are still being imported ends as quietly as a later one."""
    try:
        from uhd_edge.cli.main import run as run_uhd
    except KeyboardInterrupt:
        sys.exit(130)
    run_uhd()


if __name__ == "__main__":
    run()
