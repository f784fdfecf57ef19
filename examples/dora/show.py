"""Prints the answers of the node, and its state."""

from dora import Node

for event in Node():
    if event["type"] == "INPUT":
        about = event["metadata"]
        frame = f"frame {about['frame']}: " if "frame" in about else ""
        print(f"{event['id']}: {frame}{event['value'][0].as_py()}", flush=True)
