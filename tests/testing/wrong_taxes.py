"""Tax engines with one mistake each, and the suite that has to find it."""

import socket
import time
from contextlib import contextmanager, suppress
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from attrs import evolve, frozen

from billcore import hookimpl
from billcore.domain.money import round_ratio
from billcore.plugins.config import Secret
from billcore.plugins.registry import Registry
from billcore.plugins.tax import (
    AppliedRate,
    Buyer,
    Seller,
    TaxableLine,
    TaxAnswer,
    TaxedLine,
    TaxEngineSpec,
    TaxRefused,
    TaxRequest,
    TaxUnavailable,
    Untaxed,
)
from billcore.testing import TaxConformance

SECRET = "license_recognizable_4711"
SALE = TaxRequest(
    "inv_1",
    "USD",
    date(2026, 1, 1),
    Buyer("US", "CO", "80202"),
    Seller("US"),
    "group",
    (TaxableLine(10033, "saas"), TaxableLine(4999)),
)


@frozen
class Config:
    license: Secret
    county: Decimal = Decimal("4.81")


class Right:
    """State and county in the US, nothing in Canada, reverse charge in the EU; it needs a postcode."""

    local = True

    def __init__(self, config):
        self.license, self.county, self.down = config.license, config.county, False

    def quote(self, request):
        if self.down:
            raise TaxUnavailable("The rates are not loaded.")
        if not request.buyer.postcode:
            raise TaxRefused("The postcode is missing.", remedy="Complete the address.")
        return TaxAnswer(request.currency, tuple(self.line(request, line) for line in request.lines))

    def line(self, request, line):
        if request.buyer.exempt:
            return self.none(Untaxed.EXEMPT)
        if not line.taxable:
            return self.none(Untaxed.NOT_TAXABLE)
        if request.buyer.country != "US":
            eu = request.buyer.country == "FR"
            return self.none(Untaxed.REVERSE_CHARGE if eu else Untaxed.NOT_COLLECTING)
        return self.taxed(line, [("State", Decimal("2.9"), "US-CO"), ("County", self.county, "Denver")])

    def none(self, reason):
        return TaxedLine(0, (), reason)

    def taxed(self, line, rates):
        whole = 100 + (sum(Fraction(percent) for _, percent, _ in rates) if line.inclusive else 0)
        applied = [
            AppliedRate(name, percent, self.rounded(line.amount * Fraction(percent) / whole), place)
            for name, percent, place in rates
        ]
        return TaxedLine(sum(rate.amount for rate in applied), tuple(applied))

    def rounded(self, exact):
        return round_ratio(exact.numerator, exact.denominator)


# -- answers ----------------------------------------------------------------------------------------------------


class Floats(Right):
    def line(self, request, line):
        taxed = super().line(request, line)
        return evolve(taxed, tax=float(taxed.tax)) if taxed.rates else taxed


class LosesTheCounty(Right):
    """The line's tax is the state's alone, its rates are both."""

    def line(self, request, line):
        taxed = super().line(request, line)
        return evolve(taxed, tax=taxed.rates[0].amount) if taxed.rates and line.amount else taxed


class LosesALine(Right):
    def quote(self, request):
        answer = super().quote(request)
        return evolve(answer, lines=answer.lines[:1]) if answer.lines[0].rates else answer


class TaxesByTheDocument(Right):
    """A unit more for documents of another name."""

    def quote(self, request):
        answer = super().quote(request)
        first = answer.lines[0]
        if request.document == "inv_1" or not first.rates:
            return answer
        rate = evolve(first.rates[0], amount=first.rates[0].amount + 1)
        return evolve(answer, lines=(TaxedLine(first.tax + 1, (rate, *first.rates[1:])), *answer.lines[1:]))


class SortsTheLines(Right):
    def quote(self, request):
        answer = super().quote(request)
        if len(answer.lines) < 4 or request.lines[-1].inclusive:
            return answer
        return evolve(answer, lines=tuple(sorted(answer.lines, key=lambda line: line.tax)))


class CountsInDollars(Right):
    def rounded(self, exact):
        return super().rounded(exact / 100) * 100


class TaxOnTop(Right):
    """Takes an inclusive price for an exclusive one."""

    def line(self, request, line):
        return super().line(request, evolve(line, inclusive=False))


class RoundsDown(Right):
    def rounded(self, exact):
        return exact.numerator // exact.denominator


class FixedFee(Right):
    """A fee on everything, which no amount of zero can have."""

    def line(self, request, line):
        taxed = super().line(request, line)
        if not taxed.rates or line.amount:
            return taxed
        return TaxedLine(50, (AppliedRate("Fee", Decimal(1), 50),))


# -- no tax, and why --------------------------------------------------------------------------------------------


class TaxesTheExempt(Right):
    def line(self, request, line):
        return super().line(evolve(request, buyer=evolve(request.buyer, exempt=False)), line)


class ExemptAfterTheRest(Right):
    def line(self, request, line):
        return self.none(Untaxed.NOT_TAXABLE) if not line.taxable else super().line(request, line)


class TaxesEverything(Right):
    def line(self, request, line):
        return super().line(request, evolve(line, taxable=True))


class SilentWhereNothingIsCollected(Right):
    def none(self, reason):
        return TaxedLine(0, (), None if reason is Untaxed.NOT_COLLECTING else reason)


class ReverseChargeUntold(Right):
    def none(self, reason):
        return super().none(Untaxed.NOT_COLLECTING if reason is Untaxed.REVERSE_CHARGE else reason)


# -- errors, secrets, state -------------------------------------------------------------------------------------


class GuessesThePostcode(Right):
    def quote(self, request):
        return super().quote(evolve(request, buyer=evolve(request.buyer, postcode="80202")))


class RefusesWhenDown(Right):
    def quote(self, request):
        try:
            return super().quote(request)
        except TaxUnavailable as error:
            raise TaxRefused("Not now.") from error


class TaxFreeWhenDown(Right):
    def quote(self, request):
        if self.down:
            return TaxAnswer(request.currency, tuple(self.none(Untaxed.NOT_COLLECTING) for _ in request.lines))
        return super().quote(request)


class Asks(Right):
    def quote(self, request):
        with suppress(OSError):
            socket.create_connection(("192.0.2.1", 443), timeout=0.01)
        return super().quote(request)


class SecretInRepr(Right):
    def __repr__(self):
        return f"Engine({self.license.reveal()})"


class SecretInErrors(Right):
    def quote(self, request):
        try:
            return super().quote(request)
        except TaxRefused as error:
            raise TaxRefused(f"Refused with {self.license.reveal()}.") from error


class RequestOnTheObject(Right):
    def quote(self, request):
        self.request = request
        time.sleep(0.002)
        return super().quote(self.request)


class SharedState(Right):
    latest = Decimal(0)

    def __init__(self, config):
        super().__init__(config)
        SharedState.latest = config.county

    def quote(self, request):
        self.county = SharedState.latest
        return super().quote(request)


def plugin(engine):
    @hookimpl
    def register_tax_engines():
        return [TaxEngineSpec("wrong", Config, engine)]

    return type("Plugin", (), {"register_tax_engines": staticmethod(register_tax_engines)})()


def suite(engine):
    """The suite run against an engine of this class."""

    class Suite(TaxConformance):
        @pytest.fixture
        def registry(self):
            return Registry({"wrong": plugin(engine)}, installed=False)

        @pytest.fixture
        def engine_name(self):
            return "wrong"

        @pytest.fixture
        def config(self):
            return {"license": SECRET}

        @pytest.fixture
        def other_config(self):
            return {"license": SECRET, "county": "1.5"}

        @pytest.fixture
        def sale(self):
            return SALE

        @pytest.fixture
        def untaxed_sale(self):
            return evolve(SALE, buyer=Buyer("CA", "ON", "K1A"))

        @pytest.fixture
        def reverse_charge_sale(self):
            return evolve(SALE, buyer=Buyer("FR", "", "75001", vat_number="FR1"))

        @pytest.fixture
        def incomplete_sale(self):
            return evolve(SALE, buyer=Buyer("US", "CO"))

        @pytest.fixture
        def down(self):
            @contextmanager
            def broken(one):
                one.down = True
                yield
                one.down = False

            return broken

    return Suite
