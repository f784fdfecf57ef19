"""The built-in model with a chat template that knows thoughts and tools."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from support.agents.templates import AGENT_TEMPLATE

from uhd_edge.runtime import Bundle
from uhd_edge.runtime.bundles.bundle import MANIFEST

if TYPE_CHECKING:
    from pathlib import Path


def agent_bundle(folder: Path) -> Bundle:
    """Write the bundle into a folder that does not exist yet."""
    shutil.copytree(Bundle.open().path, folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["prompt"]["chat_template"] = AGENT_TEMPLATE
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return Bundle.open(folder)
