"""Tests that need the engine of HTTP/2 are left out without it."""

from importlib.util import find_spec

# Without the engine of HTTP/2, which is an extra, there is nothing to try.
collect_ignore_glob = [] if find_spec("ngh2") and find_spec("hpack") else ["test_http2_*.py", "test_protocol_choice.py"]
