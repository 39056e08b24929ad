"""Integration into Gunicorn: settings, hooks, the access log, checks at the start."""
