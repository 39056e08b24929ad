"""Flask's hello."""

from flask import Flask, Response

application = Flask(__name__)


@application.route("/")
@application.route("/items/<int:number>")
def hello(number: int = 0) -> Response:
    return Response("Hello, world!", mimetype="text/plain")
