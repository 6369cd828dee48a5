"""Benchmarks: each measures the app and, in the same run and interleaved with it, the baseline it is judged by.

Nothing here is a test of the machine: every target is a ratio, a count or simulated time. The few figures in seconds
are printed for the reader and judged by nobody.
"""
