"""uhd-tiny without one of its modes, as a bundle is that was exported with the other alone."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from uhd_edge.runtime.bundles.bundle import MANIFEST, Bundle

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.runtime.modes import Mode


def without_mode(mode: Mode, folder: Path) -> Path:
    """Write a copy of uhd-tiny without the graphs of `mode` into the new `folder`, and return that."""
    shutil.copytree(Bundle.open().path, folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    del manifest["graphs"][mode]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder
