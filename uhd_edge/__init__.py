"""Answers questions about images on the device itself.

Each subpackage is a folder at the top of the repository; the links beside this file are how
Python, type checkers and editors find them without an installation.
"""
