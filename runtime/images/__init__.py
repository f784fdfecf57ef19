"""Files, bytes, arrays and videos become upright RGB pictures, within limits.

In: whatever a caller hands over as an image. Out: PIL images in mode RGB.
Read `loading.py` first.
"""
