"""Publishes the deployment package to its function app, and ends only when the app's functions are known to Azure.

`python -m local.publish`, on Windows, macOS and Linux, by hand, from the hooks of azure.yaml and from the workflow;
docs/deploy.md tells when. Standard library only, as it runs where nothing of ours is installed. Invariant: what is sent
is the package as it was built, for the app's own Python, and nobody builds it anew.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - whoever runs it with an older Python shall read this and no traceback
    sys.exit(f"Python 3.11 or newer is needed, not {sys.version.split()[0]}.")
