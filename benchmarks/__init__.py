"""Measurements of the two workers beside other servers; see docs/performance.rst."""
