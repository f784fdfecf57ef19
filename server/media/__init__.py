"""Images and videos of requests.

In: URLs, data URIs and base64. Out: pictures and frames, within limits. Read `loading.py` first.
"""
