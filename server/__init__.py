"""An assistant behind OpenAI's chat-completions API; needs the extra `serve`.

In: HTTP requests. Out: one JSON object each, or server-sent events. Read `app.py` first, then `chat.py`.
"""
