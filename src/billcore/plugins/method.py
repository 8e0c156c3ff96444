"""What a gateway says of a payment method it keeps (behaviour 9.7)."""

from typing import Literal

from attrs import frozen

MethodKind = Literal["card", "bank_account", "wallet"]
VaultedStatus = Literal["active", "unverified", "disabled"]


@frozen
class Vaulted:
    """A payment method in the provider's vault: `token` is what later charges name, for `gateway_customer`.

    `last4` are four characters at most, `expires_on` is YYYY-MM. `unverified` bank accounts cannot be charged yet,
    `disabled` methods were lost or revoked. `customer_id` is ours, where the provider keeps it.
    """

    token: str
    gateway_customer: str
    kind: MethodKind = "card"
    brand: str = ""
    last4: str = ""
    expires_on: str = ""
    fingerprint: str = ""
    status: VaultedStatus = "active"
    customer_id: str = ""


@frozen
class MethodNotFound:
    """The provider keeps no such method (any more)."""

    token: str


@frozen
class Page:
    """A page of the provider's for the customer: `url` is http or https; `gateway_customer` as for Vaulted."""

    url: str
    gateway_customer: str = ""
