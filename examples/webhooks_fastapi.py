"""Webhooks in a FastAPI application: `uvicorn webhooks_fastapi:app` beside a store that `billcore init` has made."""

import os

from fastapi import BackgroundTasks, FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

from billcore import Billing, PluginError

MOST_BYTES = 1 << 20

billing = Billing(
    os.environ.get("BILLCORE_DATABASE", "sqlite:///billcore.db"),
    gateways=os.environ.get("BILLCORE_CONFIG", "billcore.toml"),
    create=False,
)
app = FastAPI()


@app.post("/webhooks/{gateway}")
async def receive(gateway: str, request: Request, later: BackgroundTasks) -> Response:
    """Hand on the raw body, and answer 2xx only once it is kept; any other error is a 500, so that it comes again."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            return Response(status_code=413)
    try:
        await run_in_threadpool(billing.webhooks.receive, gateway, request.headers, body)
    except PluginError as error:
        answers = {"webhook_rejected": 400, "plugin_unknown": 404}  # No reason: the sender may be a stranger.
        if error.code not in answers:
            raise
        return Response(status_code=answers[error.code])
    later.add_task(billing.webhooks.process)  # Leave this out where `billcore worker` runs.
    return Response(status_code=204)
