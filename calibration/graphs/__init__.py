"""Write INT8 and FP8 graphs, with quantize and dequantize nodes for each kind of engine.

In: FP32 or FP16 graphs and a quantization plan. Out: quantized graphs for ONNX Runtime and for TensorRT.
Read `quantize.py` first.
"""
