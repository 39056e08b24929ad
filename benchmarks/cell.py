"""One entry of the robustness table."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """What is shown, and the number behind it, of which less is better."""

    text: str
    value: float | None = None

    def as_content(self) -> dict[str, object]:
        """Return both as JSON takes them; it has no infinity."""
        return {"text": self.text, "value": self.value if self.value is None or math.isfinite(self.value) else "never"}


NOT_APPLICABLE = Cell("-")
BLOCKED = Cell("blocked", float("inf"))


def milliseconds(seconds: float | None) -> Cell:
    """Return a latency; without one the server was blocked."""
    return BLOCKED if seconds is None else Cell(f"{seconds * 1e3:.2f} ms", seconds)


def kibibytes(size: float) -> Cell:
    return Cell(f"{size / 1024:.1f} KiB", size)


def mebibytes(size: float) -> Cell:
    return Cell(f"{size / 2**20:.0f} MiB", size)


def rate(size: int, seconds: float | None) -> Cell:
    """Return bytes per second; its negative is the value, since less is better there."""
    if not seconds:
        return Cell("failed", float("inf"))
    return Cell(f"{size / seconds / 1e6:,.0f} MB/s", -size / seconds)
