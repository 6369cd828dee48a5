"""`python -m local up`: Azurite and the Graph simulator for an app that is started by hand, until Ctrl-C.

Everything else here has a command of its own: `python -m local.setup`, `local.demo`, `local.functions_host`.
"""

import argparse
import sys

from local.stack import run_up


def main() -> int:
    """Run the command that is asked for; return the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m local", description="Stand-ins for Azure and Microsoft Graph.")
    parser.add_argument("command", choices=["up"], help="start Azurite and the Graph simulator, with reports in it")
    parser.add_argument("--with-app", action="store_true", help="and the app, with quick timers, in this terminal")
    return run_up(with_app=parser.parse_args().with_app)


if __name__ == "__main__":
    sys.exit(main())
