"""The contract of tax engines: what is asked about a document, what is answered, and the two errors (behaviour 8.2).

An engine reckons and decides nothing else: one question holds all that it needs, one answer says the tax of every
line. It answers without I/O and without remembering, the same to the same question, as it is asked while a document is
being made. What it answers is checked where it comes in.
"""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Generic, Protocol

from attrs import AttrsInstance, frozen

from billcore.domain.tax import TaxableLine
from billcore.errors import PluginError
from billcore.plugins.config import C, Secret, Spec
from billcore.settings import Seller, TaxRounding

__all__ = [
    "AppliedRate",
    "Buyer",
    "Secret",
    "Seller",
    "TaxAnswer",
    "TaxEngine",
    "TaxEngineSpec",
    "TaxRefused",
    "TaxRequest",
    "TaxRounding",
    "TaxUnavailable",
    "TaxableLine",
    "TaxedLine",
    "Untaxed",
]


class Untaxed(StrEnum):
    """Why a line has no tax where no rate was applied."""

    EXEMPT = "exempt"
    NOT_TAXABLE = "not_taxable"
    NOT_COLLECTING = "not_collecting"
    REVERSE_CHARGE = "reverse_charge"
    NOT_SUBJECT = "not_subject"


@frozen
class Buyer:
    """Who is taxed and where: texts as the customer has them, empty where nothing is known."""

    country: str = ""
    region: str = ""
    postcode: str = ""
    city: str = ""
    address: str = ""
    vat_number: str = ""
    exempt: bool = False


@frozen
class TaxRequest:
    """The question: the tax of one document.

    `document` is its id, `on` the customer's local day that it is taxed by. `lines` are its charges after their
    discounts, amounts in minor units of `currency`; negative ones are rebates. `rounding` is the seller's setting.
    """

    document: str
    currency: str
    on: date
    buyer: Buyer
    seller: Seller
    rounding: TaxRounding
    lines: tuple[TaxableLine, ...]


@frozen
class AppliedRate:
    """A rate on a line: `percent` of it, `amount` the tax that it gave in minor units, and whose rate it is."""

    name: str
    percent: Decimal
    amount: int
    jurisdiction: str = ""


@frozen
class TaxedLine:
    """A line's tax in minor units, which is the sum of its rates; of an inclusive line it lies inside the amount.

    `reason` says why no rate was applied; a rate of 0 % is a rate.
    """

    tax: int
    rates: tuple[AppliedRate, ...] = ()
    reason: Untaxed | None = None


@frozen
class TaxAnswer:
    """The answer: one TaxedLine for each line of the request, in their order, in the request's currency."""

    currency: str
    lines: tuple[TaxedLine, ...]


class TaxEngine(Protocol):
    """What every tax engine has. It is asked from several threads at once."""

    @property
    def local(self) -> bool:
        """Whether it answers by itself, without a network, a file or a clock."""

    def quote(self, request: TaxRequest, /) -> TaxAnswer:
        """The tax of a document, with no effect; raises TaxRefused or TaxUnavailable."""


@frozen
class TaxEngineSpec(Spec[C, TaxEngine], Generic[C]):
    """What `register_tax_engines` returns: the engine's name, its configuration class and its constructor."""


AnyTaxEngineSpec = TaxEngineSpec[AttrsInstance]


class TaxRefused(PluginError):
    """A document cannot be taxed as it is: an address is incomplete, a tax code unknown. Asking again does not help."""

    def __init__(self, message: str, *, remedy: str = "", **facts: object) -> None:
        super().__init__("tax_refused", message, remedy=remedy, **facts)


class TaxUnavailable(PluginError):
    """The engine could not answer: nothing is wrong with the document, and it may be asked again."""

    def __init__(self, message: str, *, remedy: str = "", **facts: object) -> None:
        super().__init__("tax_unavailable", message, remedy=remedy, **facts)
