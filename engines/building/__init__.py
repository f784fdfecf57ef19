"""TensorRT engines are built here, ahead of time, on the device, or from a kit.

In: an ONNX graph and a target. Out: an engine file and the record of what it belongs to.
Read `build.py` first; `targets.py` lists the devices.
"""
