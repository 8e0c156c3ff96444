"""Webhooks in a Flask application: `flask --app webhooks_flask run` beside a store that `billcore init` has made."""

import os

from flask import Flask, request

from billcore import Billing, PluginError

billing = Billing(
    os.environ.get("BILLCORE_DATABASE", "sqlite:///billcore.db"),
    gateways=os.environ.get("BILLCORE_CONFIG", "billcore.toml"),
    create=False,
)
app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 1 << 20


@app.post("/webhooks/<gateway>")
def receive(gateway: str) -> tuple[str, int]:
    """Hand on the raw body, and answer 2xx only once it is kept; any other error is a 500, so that it comes again."""
    try:
        billing.webhooks.receive(gateway, request.headers, request.get_data())
    except PluginError as error:
        answers = {"webhook_rejected": 400, "plugin_unknown": 404}  # No reason: the sender may be a stranger.
        if error.code not in answers:
            raise
        return "", answers[error.code]
    return "", 204  # `billcore worker` does the rest, or billing.webhooks.process() after the answer.
