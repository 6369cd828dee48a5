"""`python -m shared.doctor`; see `command.py`."""

import sys

from .command import main

sys.exit(main())
