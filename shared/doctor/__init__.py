"""The preflight: proves a tenant line by line, before the first report arrives.

Each line says what was tried, what came back and what to do. It reads, and only where it is asked to also writes what
it takes away again. A line whose precondition failed is not tried, so that one fault makes one line red.
"""
