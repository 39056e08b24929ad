"""A Paste ini, and the runner that serves it."""
