"""The application's side of the server, by PEP 3333: environ, input, start_response, kinds of results.

Nothing in this package knows a transport or Gunicorn.
"""
