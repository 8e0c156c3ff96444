"""Customers and their payment methods (behaviour 9.7, 14)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from attrs import field, frozen

MethodStatus = Literal["active", "unverified", "disabled", "removed"]
Pays = Literal["self", "parent"]


@frozen
class PaymentMethod:
    """A token that a gateway keeps; never card data. `reference` is the host's own key.

    `gateway_customer` is the provider's customer that it is kept for, where the gateway has a vault. An `unverified`
    bank account cannot be charged yet; a `disabled` method was lost at the gateway and can only be removed. One that
    is `removed` is only remembered, so that news of it from its gateway does not bring it back. `position` is its
    place among a customer's methods, those of equal place by age; at `refused_at` its provider refused it for good.
    """

    id: str
    customer_id: str
    gateway: str
    kind: str
    token: str
    created_at: datetime
    reference: str | None = None
    gateway_customer: str | None = None
    brand: str | None = None
    last4: str | None = None
    expires_on: str | None = None
    fingerprint: str | None = None
    status: MethodStatus = "active"
    position: int = 0
    refused_at: datetime | None = None


@frozen(slots=False)
class Customer:
    """Who subscribes and who owes.

    `timezone` None means the site's; `billing_day` is for subscriptions without one. Where `pays` is "parent", the
    customer `parent_id`, or who pays for that one, owes what this customer's subscriptions bill (behaviour 14). Since
    `paused_at` nothing that falls due for him is done (5.2).
    """

    id: str
    reference: str
    created_at: datetime
    name: str | None = None
    email: str | None = None
    organization: str | None = None
    phone: str | None = None
    country: str = ""
    region: str = ""
    postcode: str = ""
    city: str = ""
    address: str = ""
    vat_number: str | None = None
    tax_exempt: bool = False
    timezone: str | None = None
    currency: str | None = None
    billing_day: int | None = None
    default_method_id: str | None = None
    custom_fields: Mapping[str, str] = field(factory=dict)
    parent_id: str | None = None
    pays: Pays = "self"
    paused_at: datetime | None = None
    version: int = 1
