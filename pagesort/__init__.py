"""Sorts scans of archive pages by what is on them."""

__version__ = "0.1.0"
