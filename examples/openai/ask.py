"""Asks a server on this machine a question about a picture, and prints the answer as it is written."""

import base64
import os
import sys
from pathlib import Path

import openai

picture, question = sys.argv[1:]
client = openai.OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"), api_key="none")
image = "data:image/png;base64," + base64.b64encode(Path(picture).read_bytes()).decode()
pieces = client.chat.completions.create(
    model=client.models.list().data[0].id,
    messages=[
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": image}}, {"type": "text", "text": question}],
        }
    ],
    stream=True,
)
for piece in pieces:
    print(piece.choices[0].delta.content or "", end="", flush=True)
print()
