"""The page about the conformance suite, written from the suite itself: `python -m tests.testing.reference`."""

# ruff: noqa: E501  the page's own tables

import inspect
import re

from billcore.testing import Fault
from billcore.testing.building import Building
from billcore.testing.charging import Charging
from billcore.testing.failing import Failing
from billcore.testing.fixtures import GatewayFixtures
from billcore.testing.gateway import GatewayConformance
from billcore.testing.looking import Looking
from billcore.testing.refunding import Refunding
from billcore.testing.safety import Safety
from billcore.testing.vaulting import Vaulting
from billcore.testing.webhooks import Webhooks
from tests.project import ROOT

PAGE = ROOT / "docs" / "reference" / "gateway-kit.md"
PARTS = {
    "Before anything is asked": Building,
    "Charges": Charging,
    "Lookups": Looking,
    "A broken network": Failing,
    "Refunds, voids, captures, cancellation": Refunding,
    "Payment methods": Vaulting,
    "Webhooks": Webhooks,
    "Secrets, threads, state": Safety,
}
INTRODUCTION = """\
# The conformance suite of gateways

`billcore.testing.GatewayConformance` is the [gateway contract](../howto/write-a-gateway.md) as tests. Inherit from it in a
class of your own, give its fixtures, run pytest. It needs `billcore[testing]`; a run takes a few seconds and the time-outs
of your client, so give that one of a second or two.

This page is written from the suite by `python -m tests.testing.reference`.

## Fixtures that must be given

{must}

## Fixtures that may be given

{may}

## Faults

`broken_network` gets one of these and returns a context manager; meanwhile every call to the provider meets the fault. What
ends in `_BEFORE` was not carried out, what ends in `_AFTER` was, and its answer was lost.

{faults}

## Also in `billcore.testing`

| name | what it does |
|---|---|
| `NetworkFaults(provider, unseen=…)` | an HTTP server before a provider (its address, or a function) with all faults; `url`, `broken`, `requests()` |
| `HttpRequest`, `HttpReply` | what such a function gets and returns |
| `WebhookSender` | a provider's deliveries: `deliver`, `late`, `stale`, `from_the_future`, `altered`, `unsigned`, `forged`, `doubled`, `every_order`; subclass it with `sign`, `charge_body`, `other_body` |
| `BankAccount` | what `bank_account` gives: a token, right and wrong amounts or codes |
| `no_network()` | a context in which every connection and look-up of a name fails, and is listed |
| `leaks(secrets, text)` | the secrets that stand in a text, plain, quoted or encoded |
| `everything_logged()`, `everything_told(error)` | all that is logged meanwhile; all that a log would write of an exception |

## Checks

A check whose capabilities are not declared is skipped and names them.
"""


def page() -> str:
    """The page as it has to be."""
    fixtures = list(_fixtures())
    text = INTRODUCTION.format(
        must=_table("fixture", [row for row in fixtures if row[1].startswith("Must")]),
        may=_table("fixture", [row for row in fixtures if row[1].startswith("May")]),
        faults=", ".join(f"`{fault.name}`" for fault in Fault) + ".",
    )
    for title, part in PARTS.items():
        text += f"\n### {title}\n\n{_table('check', list(_checks(part)))}\n"
    return text


def _fixtures():
    for name, value in vars(GatewayFixtures).items():
        doc = inspect.getdoc(value) or ""
        if doc.startswith(("Must", "May")):
            yield name, doc


def _checks(part):
    for name, check in vars(part).items():
        if name.startswith("test_"):
            needs = " ".join(f"`{one.name}`" for one in getattr(check, "requires", ()))
            yield name, f"{_plain(check.__doc__)} {needs}".strip()


def _plain(text):
    return re.sub(r"\s+", " ", text or "").strip()


def _table(title, rows):
    lines = [f"| {title} | |", "|---|---|"]
    return "\n".join(lines + [f"| `{name}` | {re.sub('^(Must|May)[:,] ', '', _plain(doc))} |" for name, doc in rows])


if __name__ == "__main__":
    assert all(hasattr(GatewayConformance, name) for part in PARTS.values() for name in vars(part))
    PAGE.write_text(page(), encoding="utf-8")
