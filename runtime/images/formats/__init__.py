"""What single formats of files need: JPEGs without an end or with endless scans, TIFFs that libtiff complains of.

In: a file that Pillow has opened, or its bytes. Out: a picture, an error, or silence.
Read `jpeg_end.py` first.
"""
