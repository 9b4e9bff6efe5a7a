"""English that messages share."""


def counted(number: float, what: str) -> str:
    """``1 run``, ``2 runs``, ``0.5 points``; thousands with commas."""
    shown = f"{int(number):,}" if number == int(number) else f"{number:g}"
    return f"{shown} {what}" + ("" if number == 1 else "s")


def side_by_side(number: int, what: str = "run") -> str:
    """How many go at a time: ``one run at a time``, ``2 runs side by side``; 0 is one in the process that asks."""
    if number == 0:
        return f"one {what} at a time in this process"
    return f"one {what} at a time" if number == 1 else f"{number:,} {what}s side by side"


def printable(text: str) -> str:
    """The text with what a terminal would act on, or not show, spelled as an escape."""
    return "".join(c if c.isprintable() or c.isspace() else c.encode("unicode_escape").decode() for c in text)
