"""Run the fake Stripe as a process of its own: `python -m billcore_gateway_stripe.testing --port 8421`."""

import argparse
import contextlib
import signal
import sys

from billcore_gateway_stripe.testing.server import KEY, FakeServer


def main() -> None:
    """Serve until interrupted or ended; the first line says where."""
    parser = argparse.ArgumentParser(prog="python -m billcore_gateway_stripe.testing", description=__doc__)
    parser.add_argument("--port", type=int, default=8421, help="the port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--webhook-url", default="", help="where events are posted to")
    parser.add_argument("--webhook-secret", default="whsec_fake", help="what they are signed with")
    given = parser.parse_args()
    server = FakeServer(given.port)
    sys.stdout.write(f"fake Stripe at {server.url}, key {KEY}\n")
    sys.stdout.flush()
    if given.webhook_url:
        server.control.answer(
            "POST", "/_fake/webhooks", f'{{"url": "{given.webhook_url}", "secret": "{given.webhook_secret}"}}'
        )
    # A shell starts what runs in its background with interrupts ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    server.server_close()
    server.deliveries.close()


if __name__ == "__main__":
    main()
