"""Collection of the tests of HTTP/2, which need the engine."""

from importlib.util import find_spec

# Without the engine, which is an extra, there is nothing to try.
collect_ignore_glob = [] if find_spec("ngh2") else ["test_*.py"]
