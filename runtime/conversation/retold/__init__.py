"""Conversations that a client tells again from the beginning, with every question."""
