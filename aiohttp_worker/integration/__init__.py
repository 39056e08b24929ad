"""What is Gunicorn's: settings, hooks, the access log, checks at the start."""
