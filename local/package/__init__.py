"""The deployment package: one zip with the app and the packages it runs on, ready for Flex Consumption.

`python -m local.package` builds it; docs/package.md tells what is in it and why. Invariant: every file in the zip is
one that a rule expects, and the same inputs give the same bytes.
"""
