"""A camera of a dataflow under test: plays images, and broken frames, one after each thing the node says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow
from dora import Node
from PIL import Image

node = Node()
EXAMPLES = Path(sys.argv[1])
PLAN = json.loads(sys.argv[2])


def send_image(name: str, encoding: str) -> None:
    path = EXAMPLES / name
    if encoding in ("png", "jpeg"):
        node.send_output("image", pyarrow.array(np.frombuffer(path.read_bytes(), np.uint8)), {"encoding": encoding})
        return
    pixels = np.asarray(Image.open(path).convert("RGB"))
    height, width, _ = pixels.shape
    if encoding == "bgr8":
        pixels = pixels[:, :, ::-1]
    if encoding == "cut off":
        pixels, encoding = pixels[:-1], "rgb8"
    metadata = {"width": width, "height": height, "encoding": encoding}
    node.send_output("image", pyarrow.array(pixels.ravel()), metadata)


def act(step: dict[str, str]) -> None:
    if "question" in step:
        node.send_output("question", pyarrow.array([step["question"]]), {})
    elif "noise" in step:
        node.send_output("question", pyarrow.array([1, 2]), {})
    else:
        send_image(step["image"], step["encoding"])


for event in node:
    # One step of the plan for each `ready`, `answered` and `error`: nothing depends on time.
    if event["type"] == "INPUT" and event["id"] == "health" and PLAN:
        for step in PLAN.pop(0):
            act(step)
    if not PLAN:
        break
