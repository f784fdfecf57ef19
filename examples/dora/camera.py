"""Stands in for a camera: sends the pictures of this repository, one at each tick."""

from itertools import cycle
from pathlib import Path

import numpy as np
import pyarrow
from dora import Node
from PIL import Image

pictures = cycle(sorted(Path(__file__).parents[1].glob("*.png")))
node = Node()
for event in node:
    if event["type"] == "INPUT":
        frame = np.asarray(Image.open(next(pictures)).convert("RGB"))
        height, width, _ = frame.shape
        node.send_output("image", pyarrow.array(frame.ravel()), {"width": width, "height": height, "encoding": "rgb8"})
