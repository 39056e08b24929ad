"""PEP 3333: environ, input, start_response. No transport, no Gunicorn."""
