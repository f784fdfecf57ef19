"""Build TensorRT engines: ahead of time, on the device, or from a kit.

In: an ONNX graph and a target. Out: an engine file and a record of what it was built from and for.
Read `build.py` first; `targets.py` lists the devices.
"""
