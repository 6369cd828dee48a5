"""Fuzzing of everything that reads what strangers wrote: no exception, no slow input, no memory beyond its size.

`make fuzz` tries many inputs, `make test` a sample of them. An input that fails is kept in a file and can be tried
again alone. Which input comes at which number depends on nothing but the seed of the run and on the mails it begins
with.
"""
