"""The least that a Flask app can do; the answer differs from request to request, as the path does."""

from flask import Flask

app = Flask(__name__)


@app.route("/hello/<name>")
def hello(name: str) -> str:
    return f"Hello, {name}!\n"
