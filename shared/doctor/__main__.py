"""`python -m shared.doctor`; see `command.py`."""

import sys

from shared.doctor.command import main

sys.exit(main())
