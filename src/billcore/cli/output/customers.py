"""Customers and payment methods on the screen."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from billcore.cli.output.balances import balance_text
from billcore.cli.output.screen import fields, state, table
from billcore.cli.output.view import View
from billcore.domain.customer import Customer, PaymentMethod

SHOWN = 20
"""How many subscriptions and members a customer's page shows."""


def customer_list(view: View, customers: Sequence[Customer]) -> RenderableType:
    """One row for each customer."""
    return table(
        ("~reference", "~name", "~email", "place", "since"),
        [(one.reference, _name(one), one.email or "", _place(one), view.date(one.created_at)) for one in customers],
    )


def customer_page(view: View, one: Customer) -> RenderableType:
    """Everything about one customer, with methods and subscriptions."""
    methods = view.billing.payment_methods.list(one.id)
    subs = view.billing.subscriptions.list(customer=one.id, limit=SHOWN)
    members = view.billing.customers.members(one.id, limit=SHOWN + 1)
    address = ", ".join(part for part in (one.address, one.postcode, one.city, _place(one)) if part)
    return fields(
        [
            ("customer", one.reference),
            ("name", one.name),
            ("organization", one.organization),
            ("email", one.email),
            ("phone", one.phone),
            ("address", address),
            ("VAT number", one.vat_number),
            ("tax", "exempt" if one.tax_exempt else None),
            ("time zone", one.timezone),
            ("currency", one.currency),
            ("parent", view.customer(one.parent_id) if one.parent_id else None),
            ("paid for by", view.customer(view.payer(one)) if one.pays == "parent" else None),
            ("members", members_text(members)),
            ("billing day", str(one.billing_day) if one.billing_day else None),
            ("custom fields", ", ".join(f"{name}={text}" for name, text in one.custom_fields.items())),
            ("since", view.day(one.created_at)),
            ("balance", balance_text(view.billing.customers.balances(one.id))),
            ("pays with", "\n".join(_method(method, one) for method in methods)),
            ("subscriptions", Group(*(state(sub.state, f"  {sub.reference}") for sub in subs)) if subs else None),
            ("id", one.id),
        ]
    )


def members_text(members: Sequence[Customer]) -> str:
    """The first customers of a group, and whether there are more."""
    names = [one.reference for one in members[:SHOWN]]
    return ", ".join([*names, "…"] if len(members) > SHOWN else names)


def method_list(view: View, methods: Sequence[PaymentMethod]) -> RenderableType:
    """One row for each payment method."""
    defaults = {view.billing.customers.get(id_).default_method_id for id_ in {m.customer_id for m in methods}}
    return table(
        ("~method", "gateway", "kind", "~token", "status", "default", "since"),
        [
            (
                one.reference or one.id,
                one.gateway,
                " ".join(part for part in (one.kind, one.brand, one.last4, one.expires_on) if part),
                one.token,
                state(one.status, f" (refused {view.date(one.refused_at)})" if one.refused_at is not None else ""),
                "yes" if one.id in defaults else "",
                view.date(one.created_at),
            )
            for one in methods
        ],
    )


def method_line(view: View, method: PaymentMethod, done: str) -> Text:
    """What a command has done with a method; one that cannot be charged says so."""
    status = "" if method.status == "active" else f"; it is {method.status}"
    if done in ("verify", "refresh"):
        done, status = f"is {method.status}", ""
    return Text(
        f"Payment method {method.reference or method.id} of {view.customer(method.customer_id)} {done}{status}."
    )


def _name(one: Customer) -> str:
    return ", ".join(part for part in (one.name, one.organization) if part)


def _place(one: Customer) -> str:
    return " ".join(part for part in (one.region, one.country) if part)


def _method(method: PaymentMethod, one: Customer) -> str:
    marks = " (default)" if method.id == one.default_method_id else ""
    marks += f" ({method.status})" if method.status != "active" else ""
    return f"{method.reference or method.id}: {method.gateway} {method.kind} {method.token}{marks}"
