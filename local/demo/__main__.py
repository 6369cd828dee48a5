"""`python -m local.demo`: 0 if every check holds, 1 if one fails or the demo cannot run, 130 after Ctrl-C."""

import signal
import sys

# A shell starts background jobs with SIGINT ignored; whoever sends it to one all the same means it.
signal.signal(signal.SIGINT, signal.default_int_handler)

try:
    from local.demo.play import main  # inside, because Ctrl-C may come while it is imported

    sys.exit(main())
except KeyboardInterrupt:
    print("\nInterrupted; all that was started has ended.", file=sys.stderr)
    sys.exit(130)
