"""What stops publishing: a name for programs, what was seen, and what to do next."""

from __future__ import annotations


class Trouble(Exception):
    """Publishing stopped. `name` stays the same from version to version; `do` is the next step, one line or several."""

    def __init__(self, name: str, seen: str, do: str) -> None:
        super().__init__(f"{name}: {seen}")
        self.name = name
        self.seen = seen
        self.do = do

    def told(self) -> str:
        """Return the trouble as it is printed."""
        steps = "\n".join(f"   {line}".rstrip() for line in self.do.splitlines())
        return f"STOPPED {self.name}: {self.seen}\n-> {steps.strip()}"


def excerpt(text: str, most: int = 300) -> str:
    """Return the beginning of what a service answered: one line of printable ASCII, as any terminal can show it."""
    words = "".join(one if " " <= one <= "~" else " " for one in text).split()
    line = " ".join(words)
    return line if len(line) <= most else f"{line[:most]} ..."
