"""The app's process in the demo: `python -m local.functions_host`, and two things more.

It ends with the process that started it, however that ends; and, stopped cleanly, it writes to its standard output the
name of every module that the app has imported, so that the demo can check them.
"""

import os
import sys
import threading

from local.functions_host.__main__ import main as run_host


def main() -> int:
    """Run the host with this process's arguments until a signal; return the host's exit code."""
    threading.Thread(target=_end_with_owner, daemon=True).start()
    exit_code = run_host()
    print("\n".join(sorted(sys.modules)), flush=True)
    return exit_code


def _end_with_owner() -> None:
    # The owner holds the only writing end of standard input, which the kernel closes when the owner dies.
    while os.read(0, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
