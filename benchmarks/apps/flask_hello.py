"""Flask's hello."""

from flask import Flask, Response

application = Flask(__name__)


@application.route("/")
def hello() -> Response:
    return Response("Hello, world!", mimetype="text/plain")
