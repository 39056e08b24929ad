"""The result of a load, whichever program made it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """What one run of a load measured, in SI units."""

    requests: int
    seconds: float
    p50: float  # seconds
    p99: float
    maximum: float
    errors: int  # connections refused or cut, time-outs, answers other than 2xx and 3xx

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds if self.seconds else 0.0
