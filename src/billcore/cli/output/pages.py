"""Which page shows which result; the one line that confirms a command; what a dry run says."""

from collections.abc import Mapping, Sequence

import click
from rich.console import Group, RenderableType
from rich.text import Text

from billcore.billing import Billing
from billcore.cli.output import (
    balances,
    catalog,
    customers,
    invoices,
    outlook,
    payments,
    refunds,
    subscriptions,
    webhooks,
)
from billcore.cli.output.screen import money, screen
from billcore.cli.output.view import View
from billcore.commands.adjusting import Adjustment
from billcore.commands.catalog import CatalogChange, Quote
from billcore.commands.forecasting import Forecast
from billcore.commands.interim import Rerated
from billcore.commands.invoices import GivenBack, InvoicePreview
from billcore.commands.subscription_attach import Attached
from billcore.commands.subscription_extras import Charge
from billcore.commands.subscription_outlook import NextBilling, Summary
from billcore.commands.timeline import Happening
from billcore.commands.vault import HostedLink
from billcore.commands.verb import Definition
from billcore.commands.webhooks import Receipt, Replayed
from billcore.domain.credit import Credit
from billcore.domain.customer import Customer, PaymentMethod
from billcore.domain.inbox import InboxEvent
from billcore.domain.invoice import CreditNote, Invoice
from billcore.domain.money import decimal_text
from billcore.domain.payment import Payment
from billcore.domain.refund import Refund
from billcore.domain.subscription import Subscription
from billcore.domain.usage import UsageEvent
from billcore.domain.words import counted
from billcore.files import toml_text
from billcore.preview import Preview
from billcore.store.balance import Balance

_DONE = {
    "create": "created",
    "update": "updated",
    "delete": "deleted",
    "add": "added",
    "remove": "removed",
    "set_default": "is the default now",
    "cancel": "canceled",
    "uncancel": "goes on",
    "hold": "put on hold",
    "resume": "resumed",
    "activate": "activated",
    "retry": "tried again",
    "change": "changed",
    "cancel_change": "keeps what it has",
    "set_component": "changed",
    "reactivate": "is back",
    "change_billing_date": "has new dates",
    "set_term": "has a new term",
    "pause": "paused",
    "unpause": "goes on",
    "set_top_up": "updated",
    "record": "recorded",
    "join": "joined",
    "leave": "owes for himself now",
    "apply_coupon": "has the coupon now",
    "remove_coupon": "has lost the coupon",
}


def show(billing: Billing, definition: Definition, result: object, given: Mapping[str, object]) -> None:
    """Print a verb's result for people: a table, a page, or one line."""
    view = View(billing)
    output = screen()
    if isinstance(result, Preview):
        output.show(_preview(view, definition, result, given))
    elif definition.full_name == "catalog.export":
        click.echo(toml_text(result if isinstance(result, dict) else {}), nl=False)
    elif definition.reads:
        output.show(_page(view, definition, result))
    else:
        output.show(confirmation(view, definition, result, given))


def confirmation(view: View, definition: Definition, result: object, given: Mapping[str, object]) -> RenderableType:
    """What a command has done, in one line."""
    done = _DONE.get(definition.name, definition.name)
    match result:
        case Customer():
            return Text(f"Customer {result.reference} {done}.")
        case PaymentMethod():
            return customers.method_line(view, result, done)
        case HostedLink():
            return Text(f"Send {result.customer} to {result.url or 'a page of the gateway'}")
        case InboxEvent():
            return webhooks.event_line(result)
        case Receipt():
            news = counted(result.accepted, "event")
            return Text(f"{news} to be worked on by the next billcore run; {result.duplicates} known already.")
        case Replayed():
            return Text(f"{counted(result.count, 'webhook')} to be worked on once more by the next billcore run.")
        case Subscription():
            return Text(_subscription_line(view, result, done, definition.name, given))
        case Attached():
            return Text(outlook.attached_line(view, result))
        case GivenBack():
            return balances.given_back(result)
        case Charge() | Adjustment():
            return balances.by_hand(view, result)
        case Invoice():
            return balances.invoice_line(result)
        case Payment():
            return balances.payment_line(view, result)
        case Credit():
            return balances.credit_line(view, result)
        case [Credit() as one, *_]:
            return Text(f"Service credit of {given['amount']} {one.currency} taken back.")
        case [PaymentMethod(), *_]:
            return customers.method_list(view, [one for one in result if isinstance(one, PaymentMethod)])
        case Refund():
            return Text(refunds.refund_line(result))
        case list() if result and all(isinstance(one, Refund) for one in result):
            return Group(*(Text(refunds.refund_line(one)) for one in result))
        case UsageEvent():
            return Text(_usage_line(view, result))
        case Rerated():
            return Text(subscriptions.rerated_line(view, result))
        case dict():
            name = str(given.get("name"))
            return Text(f"{name} = {catalog.setting_text(result.get(name.split('.', maxsplit=1)[0]))}")
        case list() if definition.full_name == "catalog.apply":
            return _changes(result, applied=True)
    return Text(f"{definition.full_name} {done}.")


def _usage_line(view: View, event: UsageEvent) -> str:
    """Usage recorded: 4 calls for s1 at 2026-06-10."""
    what = f"{decimal_text(event.quantity)} {event.component}"
    where = view.subscriptions([event.subscription_id])[event.subscription_id]
    if event.corrects is not None:
        return f"Usage corrected by {what} for {where} at {view.day(event.at)}: event {event.event_id}."
    return f"Usage recorded: {what} for {where} at {view.day(event.at)}."


def _subscription_line(view: View, sub: Subscription, done: str, verb: str, given: Mapping[str, object]) -> str:
    """Subscription s1 created: active, renews 2026-02-28."""
    if verb == "cancel" and sub.ended_at is None and sub.cancel_at is not None:
        return f"Subscription {sub.reference} {view.ending(sub)}; until then it is {sub.state}."
    later = ""
    if verb in ("change", "set_component") and sub.change_id is not None:
        later = subscriptions.change_of(view, sub)
        if given.get("when") == "renewal" or (sub.change_at is not None and "effective_at" in given):
            return f"Subscription {sub.reference} {later}; until then it stays as it is."
        later = f"; {later}"
    if verb in ("change", "set_component", "activate", "reactivate"):
        awaited = subscriptions.awaited_line(view, sub)
        if awaited is not None:
            return awaited
    if verb == "delete":
        documents = "its documents stay" if sub.archived_at is not None else "nothing of it is left"
        return f"Subscription {sub.reference} {'archived' if sub.archived_at is not None else 'deleted'}: {documents}."
    coming = subscriptions.next_of(view, sub)
    if sub.state == "pending":
        newest = view.billing.payments.list(customer=sub.customer_id, newest=True, limit=1)
        link = next((f"; the customer has to open {one.action_url}" for one in newest if one.action_url), "")
        coming += link
    stands = ", ".join(part for part in (sub.state if sub.state != done else "", coming) if part)
    return f"Subscription {sub.reference} {done}{': ' if stands else ''}{stands}{later}."


def _page(view: View, definition: Definition, result: object) -> RenderableType:
    if isinstance(result, (list, tuple)):
        return _listed(view, definition, result)
    match result:
        case Customer():
            return customers.customer_page(view, result)
        case Subscription():
            return subscriptions.subscription_page(view, result)
        case Summary():
            return outlook.summary_page(view, result)
        case NextBilling():
            return outlook.next_page(view, result)
        case Invoice():
            return invoices.invoice_page(view, result)
        case CreditNote():
            return invoices.note_page(view, result)
        case InvoicePreview():
            return invoices.preview_page(view, result)
        case Payment():
            return payments.payment_page(view, result)
        case Refund():
            return refunds.refund_page(view, result)
        case InboxEvent():
            return webhooks.event_page(view, result)
        case UsageEvent():
            return subscriptions.usage_page(view, result)
        case Quote():
            return catalog.quote_page(result)
        case dict():
            return catalog.setting_page(result)
    return Text(str(result))


def _listed(view: View, definition: Definition, result: Sequence[object]) -> RenderableType:
    """A table, and how to see more where the page is full."""
    if not result:
        return Text(f"No {definition.noun.replace('_', ' ')}." if definition.name == "list" else "None found.")
    made = _table(view, result)
    limit = next((each.default for each in definition.parameters if each.name == "limit"), None)
    if len(result) != limit:
        return made
    last = getattr(result[-1], "reference", None) or getattr(result[-1], "id", "")
    paged = any(each.name == "after" for each in definition.parameters)
    more = f"--limit N, or the next page: --after {last}" if paged else "--limit N"
    return Group(made, Text(f"The first {counted(len(result), 'row')}. More: {more}", "dim"))


def _table(view: View, result: Sequence[object]) -> RenderableType:
    match result[0]:
        case Customer():
            return customers.customer_list(view, [one for one in result if isinstance(one, Customer)])
        case InboxEvent():
            return webhooks.event_list(view, [one for one in result if isinstance(one, InboxEvent)])
        case PaymentMethod():
            return customers.method_list(view, [one for one in result if isinstance(one, PaymentMethod)])
        case Subscription():
            return subscriptions.subscription_list(view, [one for one in result if isinstance(one, Subscription)])
        case Invoice():
            return invoices.invoice_list(view, [one for one in result if isinstance(one, Invoice)])
        case CreditNote():
            return invoices.note_list(view, [one for one in result if isinstance(one, CreditNote)])
        case Payment():
            return payments.payment_list(view, [one for one in result if isinstance(one, Payment)])
        case UsageEvent():
            return subscriptions.usage_list(view, [one for one in result if isinstance(one, UsageEvent)])
        case Balance():
            return balances.balance_list([one for one in result if isinstance(one, Balance)])
        case Credit():
            return balances.credit_list(view, [one for one in result if isinstance(one, Credit)])
        case Refund():
            return refunds.refund_list(view, [one for one in result if isinstance(one, Refund)])
        case Forecast():
            return outlook.forecast_list(view, [one for one in result if isinstance(one, Forecast)])
        case Happening():
            return outlook.timeline_list(view, [one for one in result if isinstance(one, Happening)])
    return Group(*(Text(str(one)) for one in result))


def _changes(result: Sequence[object], *, applied: bool) -> RenderableType:
    changes = [one for one in result if isinstance(one, CatalogChange)]
    if not changes:
        return Text("The catalog is as in the file; nothing changes.")
    verb = "applied" if applied else "would be applied"
    return Group(catalog.change_list(changes), Text(f"{counted(len(changes), 'change')} {verb}."))


def _preview(
    view: View, definition: Definition, preview: Preview[object], given: Mapping[str, object]
) -> RenderableType:
    """What a command would do, with the documents that would come of it."""
    for made in (preview.value, *preview.invoices, *preview.credit_notes):
        named = getattr(made, "reference", None) or getattr(made, "number_text", None)
        if named:
            view.known[str(getattr(made, "id", ""))] = named
    if definition.full_name == "catalog.apply" and isinstance(preview.value, list):
        head = _changes(preview.value, applied=False)
    else:
        head = confirmation(view, definition, preview.value, given)
    parts: list[RenderableType] = [Text("Dry run: this would come of it; nothing was kept.", "bold yellow"), head]
    for invoice in preview.invoices:
        parts += [Text(), invoices.invoice_page(view, invoice, stored=False)]
    for note in preview.credit_notes:
        parts += [Text(), invoices.note_page(view, note)]
    if preview.payments:
        parts.append(Text())
    parts += [
        Text(f"Payment of {money(one.amount, one.currency)} through {one.gateway}, taken as approved.")
        for one in preview.payments
    ]
    return Group(*parts)
