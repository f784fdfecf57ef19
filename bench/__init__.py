"""Timing every stage of an answer: configurations take turns, each engine in a process of its own."""
