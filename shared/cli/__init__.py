"""`submissions`, the command line for operators, administrators and pipelines. See `__main__.py`."""
