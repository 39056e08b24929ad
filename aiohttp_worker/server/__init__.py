"""Connections and their requests, on the loop."""
