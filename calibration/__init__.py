"""INT8: ranges, smoothing, quantize/dequantize nodes and the error report."""
