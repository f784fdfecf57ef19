"""INT8 graphs are written: quantize and dequantize nodes for each kind of engine.

In: FP32 graphs and a plan. Out: graphs for ONNX Runtime and for TensorRT.
Read `quantize.py` first.
"""
