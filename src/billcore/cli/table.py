"""What stands on the first page of the command line: names, one line of help each, and where the rest is loaded from.

A static table, so that `billcore --help` imports no verb, no database and no screen library.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Entry(NamedTuple):
    """One command: `where` is "module:attribute"; for a noun it is the class whose methods are the verbs."""

    help: str
    where: str


NOUNS: Mapping[str, Entry] = {
    "customers": Entry("Who subscribes and who owes.", "billcore.commands.customers:Customers"),
    "payment_methods": Entry(
        "Tokens that a gateway keeps, never card numbers.",
        "billcore.commands.payment_methods:PaymentMethods",
    ),
    "subscriptions": Entry(
        "Sign up, cancel, hold, resume, activate, retry.", "billcore.commands.subscriptions:Subscriptions"
    ),
    "usage": Entry("Usage of metered components.", "billcore.commands.usage:Usage"),
    "catalog": Entry("Products, prices, components, coupons and taxes.", "billcore.commands.catalog:CatalogNoun"),
    "invoices": Entry("What customers owe, and what comes next.", "billcore.commands.invoices:Invoices"),
    "payments": Entry("Every attempt to collect.", "billcore.commands.payments:Payments"),
    "refunds": Entry("Money given back, and what is still owed.", "billcore.commands.refunds:Refunds"),
    "credits": Entry("Gifts that pay invoices, and what is left of them.", "billcore.commands.credits:Credits"),
    "prepayments": Entry("Money that customers paid in advance.", "billcore.commands.prepayments:Prepayments"),
    "webhooks": Entry("What gateways told by themselves.", "billcore.commands.webhooks:Webhooks"),
    "settings": Entry("Site settings, stored with the books.", "billcore.commands.settings:SiteSettings"),
}

COMMANDS: Mapping[str, Entry] = {
    "init": Entry("Make a store.", "billcore.cli.init:init"),
    "run": Entry("Do everything that is due: renew, collect, retry.", "billcore.cli.run:run"),
    "worker": Entry("Do what is due, for ever.", "billcore.cli.run:worker"),
    "import": Entry("Bring customers and subscriptions in from CSV.", "billcore.cli.importing:importing"),
    "verify": Entry("Prove that the books are right.", "billcore.cli.verify:verify"),
    "explain": Entry("Show how the amounts of an invoice came about.", "billcore.cli.explain:explain"),
    "doctor": Entry("List what is stuck, and try it again.", "billcore.cli.doctor:doctor"),
    "scenario": Entry("Check or run scenario files.", "billcore.cli.scenario:scenario"),
    "states": Entry("What can become of a subscription, payment or refund.", "billcore.cli.states:states"),
    "gateways": Entry("Which are configured, and what they can do.", "billcore.cli.gateways:gateways"),
    "plugins": Entry("What is installed, and what is wrong with it.", "billcore.cli.plugins:plugins"),
    "plugin": Entry("Begin a plugin of your own.", "billcore.cli.plugin:plugin"),
    "x": Entry("Commands of plugins.", "billcore.cli.extra:extra"),
    "db": Entry("Upgrade or check the tables.", "billcore.cli.db:db"),
    "demo": Entry("Bill a book of business for years and look at it.", "billcore.cli.demo:demo"),
    "bench": Entry("Measure renewals against the raw database.", "billcore.cli.bench:bench"),
}
