"""What the core asks plugins before a transaction, as values: drafts, collections, cases and commands."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from attrs import frozen

from billcore.domain.money import Money


@frozen
class DraftLine:
    """A line as priced, before discount and tax; the amount is in the draft's currency."""

    kind: str
    code: str | None
    description: str
    quantity: Decimal
    amount_minor: int
    subscription_id: str | None = None


@frozen
class Draft:
    """A document about to be issued."""

    document_id: str
    customer_id: str
    currency: str
    at: datetime
    lines: tuple[DraftLine, ...]


@frozen
class ExtraLine:
    """A line that a plugin adds to the draft `document_id`; the draft's currency, any sign."""

    document_id: str
    description: str
    amount: Money
    tax_code: str | None = None


@frozen
class Method:
    """A payment method the customer has: never a card number, not even its token."""

    payment_method_id: str
    gateway: str
    kind: str


@frozen
class Collection:
    """An amount about to be collected, and the methods it may be taken from, the preferred one first."""

    invoice_id: str
    customer_id: str
    amount: Money
    methods: tuple[Method, ...]


@frozen
class Case:
    """A dunning case about to be opened: what is overdue since `opened_at`."""

    case_id: str
    customer_id: str
    overdue: Money
    opened_at: datetime


@frozen
class Command:
    """A verb about to be carried out, as `noun.verb`, with its parameters by name."""

    verb: str
    parameters: Mapping[str, object]
    actor: str
