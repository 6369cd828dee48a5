"""Azure Storage on the wire, in memory: fast enough for 100,000 rows, and it counts what it is asked.

Azurite needs minutes to hold 100,000 rows, and a benchmark has to hold them anew for each build and size. So this
server speaks what the app asks of the three services, no more: whatever it does not know it refuses with 501. It is
held to the contract tests of the storage ports, beside Azurite. Whoever owns it puts rows in and looks at them without
the wire.
"""
