"""Fuzz what a client sends: python -m fuzz.fuzz_requests --seconds 600."""

from .engine import main
from .invariants import check_requests
from .material import REQUESTS, requests

if __name__ == "__main__":
    main(check_requests, requests(), REQUESTS)
