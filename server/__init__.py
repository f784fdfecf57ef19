"""An assistant behind OpenAI's chat-completions API; needs the extra `serve`.

In: HTTP requests. Out: one JSON object each, or a stream of events. Read `app.py` first, then `answering.py`.
"""
