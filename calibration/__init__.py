"""INT8 quantization: ranges, smoothing, quantize/dequantize nodes and the error report."""
