"""The OpenAI chat-completions API in front of one assistant; needs the extra `serve`."""
