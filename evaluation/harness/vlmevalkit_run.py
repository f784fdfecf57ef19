"""VLMEvalKit's `run.py`, with our model: `python -m uhd_edge.evaluation.harness.vlmevalkit_run --config FILE ..`.

Run it in VLMEvalKit's folder; its arguments are those of `run.py`.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path


def main() -> None:
    """Register the model, and hand over to `run.py`."""
    script = Path("run.py")
    if not script.is_file():
        sys.exit("uhd: no run.py here; run this in the folder of VLMEvalKit")
    sys.path.insert(0, str(Path.cwd()))
    from uhd_edge.evaluation.harness.vlmevalkit_model import register

    register()
    sys.argv[0] = str(script)
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main()
