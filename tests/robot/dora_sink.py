"""A sink of a dataflow under test: writes down and prints what comes in, a line each."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from dora import Node

with Path(sys.argv[1]).open("w") as lines:
    for event in Node():
        if event["type"] == "INPUT":
            about = {key: value for key, value in event["metadata"].items() if isinstance(value, int | float | str)}
            entry = {"id": event["id"], "text": event["value"][0].as_py(), "about": about}
            print(json.dumps(entry), file=lines, flush=True)
            print(json.dumps(entry), flush=True)
