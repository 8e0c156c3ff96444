"""What a gateway is asked: one frozen request for each verb (behaviour 9.1, 9.6, 9.7)."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Literal, TypeAlias

from attrs import field, frozen

from billcore.domain.money import Money


def _read_only(metadata: Mapping[str, str]) -> Mapping[str, str]:
    return metadata if isinstance(metadata, MappingProxyType) else MappingProxyType(dict(metadata))


_NOTHING_ELSE: Mapping[str, str] = MappingProxyType({})

AttemptVerb = Literal["charge", "refund", "capture", "void"]


@frozen
class Charge:
    """Take `amount` from the method that `gateway_method` (the provider's token) names.

    `attempt_id` is our id of this attempt, to be stored at the provider so that `lookup` finds it;
    `idempotency_key` makes a repeated call the same charge. `gateway_customer` is the provider's customer that the
    method was vaulted for, empty where the gateway has no vault. `on_session` says that the customer is there and
    can be sent to a page.
    """

    attempt_id: str
    idempotency_key: str
    amount: Money
    gateway_method: str
    customer_id: str
    invoice_id: str
    description: str = ""
    metadata: Mapping[str, str] = field(default=_NOTHING_ELSE, converter=_read_only)
    gateway_customer: str = ""
    on_session: bool = False


@frozen
class Refund:
    """Give `amount` of the charge `gateway_id` back; `attempt_id` is our id of this refund."""

    attempt_id: str
    idempotency_key: str
    amount: Money
    gateway_id: str
    reason: str = ""


@frozen
class Capture:
    """Take `amount`, all or a part, of the authorized charge `gateway_id`."""

    attempt_id: str
    idempotency_key: str
    amount: Money
    gateway_id: str


@frozen
class Void:
    """Undo the charge `gateway_id` of `amount` before it settles; Approved says that nothing stays taken."""

    attempt_id: str
    idempotency_key: str
    amount: Money
    gateway_id: str


@frozen
class Lookup:
    """Ask what became of `attempt_id`, a `verb` over `amount`.

    The attempt id is what it is found by: after a lost reply there is nothing else. The rest are hints for providers
    that cannot search by it at once: `gateway_id` of the attempt itself where an answer once named it, the
    provider's `gateway_customer`, the charge `of` which this is a refund, and when it was sent first.
    """

    attempt_id: str
    amount: Money
    verb: AttemptVerb = "charge"
    gateway_id: str = ""
    gateway_customer: str = ""
    of: str = ""
    sent_at: datetime | None = None


@frozen
class Cancel:
    """End the pending attempt `attempt_id` of `amount`, so that it can no longer succeed; hints as in Lookup.

    The answer is what the attempt then is: Declined with the code CANCELED, or Approved when it was too late.
    """

    attempt_id: str
    amount: Money
    gateway_id: str = ""
    gateway_customer: str = ""
    sent_at: datetime | None = None


@frozen
class Vault:
    """Keep the method that `token` names for `customer_id`, so that it can be charged without the customer.

    `gateway_customer` is the provider's customer where one is known already; else one is found or made for
    `customer_id`. Repeating the call changes nothing.
    """

    customer_id: str
    token: str
    gateway_customer: str = ""
    name: str = ""
    email: str = ""


@frozen
class Describe:
    """Ask how the vaulted method `token` stands now."""

    token: str
    gateway_customer: str = ""


@frozen
class Detach:
    """Forget the vaulted method `token`; one that is gone already is no error."""

    token: str
    gateway_customer: str = ""


@frozen
class HostedPage:
    """Make a page of the provider's where the customer enters a payment method himself; it ends at `return_url`.

    The method arrives by webhook, with `customer_id` in it.
    """

    customer_id: str
    return_url: str
    gateway_customer: str = ""
    name: str = ""
    email: str = ""


@frozen
class Verify:
    """Confirm the bank account `token` with what its owner read on the statement: two `amounts`, or a `code`."""

    token: str
    gateway_customer: str = ""
    amounts: tuple[int, ...] = ()
    code: str = ""


Request: TypeAlias = Charge | Refund | Capture | Void | Cancel | Lookup
"""What is asked about one attempt; answered by an outcome."""

MethodRequest: TypeAlias = Vault | Describe | Detach | HostedPage | Verify
"""What is asked about a payment method; no money moves."""
