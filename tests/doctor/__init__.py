"""The doctor held to its promise: green where all is right, and for each fault its own line."""
