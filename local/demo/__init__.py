"""The demo, `make demo`: the sample tenant's reports from the mailbox to their verdicts, in under a minute.

It starts the stand-ins and the real app, plays the users and the operators, watches as any consumer could (through the
tables that the contract publishes), and then checks what happened. It ends with 0 only if every check holds.
"""
