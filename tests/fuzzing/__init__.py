"""Hostile inputs for everything that reads files, and a process that may die of them.

`benchmarks/fuzz.py` runs it at length, `tests/test_fuzzing.py` in short.
"""
