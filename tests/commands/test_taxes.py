"""Documents are taxed by the engine of the settings, whoever makes it, through one question (behaviour 8.2)."""

import json
from decimal import Decimal

import pytest
from attrs import define, field, frozen

from billcore import hookimpl, sqlite_engine
from billcore.plugins.tax import (
    AppliedRate,
    TaxAnswer,
    TaxedLine,
    TaxEngineSpec,
    TaxRefused,
    TaxUnavailable,
    Untaxed,
)
from tests.builders import CATALOG, books, day, dump, refusal

STATE, COUNTY = Decimal("2.9"), Decimal("4.81")


@frozen
class Config:
    pass


@define
class Colorado:
    """State and county on every line; it remembers what it was asked, and is down or refuses when it is told to."""

    local: bool = True
    asked: list = field(factory=list)
    down: bool = False

    @hookimpl
    def register_tax_engines(self):
        return [TaxEngineSpec("colorado", Config, lambda _config: self)]

    def quote(self, request):
        self.asked.append(request)
        if self.down:
            raise TaxUnavailable("The rates are not loaded.")
        if request.buyer.postcode == "?":
            raise TaxRefused("The postcode is incomplete.", remedy="Complete the customer's address.")
        return TaxAnswer(request.currency, tuple(self._taxed(line, request.buyer) for line in request.lines))

    @staticmethod
    def _taxed(line, buyer):
        if buyer.exempt:
            return TaxedLine(0, (), Untaxed.EXEMPT)
        if not line.taxable:
            return TaxedLine(0, (), Untaxed.NOT_TAXABLE)
        if buyer.country != "US":
            return TaxedLine(0, (), Untaxed.REVERSE_CHARGE)
        whole = 100 + (STATE + COUNTY if line.inclusive else 0)
        rates = [
            AppliedRate(name, percent, int(line.amount * percent / whole), place)
            for name, percent, place in (("State", STATE, "US-CO"), ("County", COUNTY, "Denver"))
        ]
        return TaxedLine(sum(rate.amount for rate in rates), tuple(rates))


@pytest.fixture
def engine():
    return Colorado()


@pytest.fixture
def billing(engine):
    billing = books(plugins={"colorado": engine}, tax_engine="colorado", proration_basis="day", customers=())
    add(billing, "acme")
    return billing


def add(billing, reference, **given):
    billing.customers.create(reference, **({"country": "US", "region": "CO", "postcode": "80202"} | given))
    billing.payment_methods.add(reference, "approve")


def test_several_rates_on_a_line_are_billed_kept_and_explained(billing, engine) -> None:
    billing.subscriptions.create("s1", "acme", "pro-m", coupons=["TEN"])
    (invoice,) = billing.invoices.list()
    assert (invoice.subtotal, invoice.discount, invoice.tax, invoice.total) == (3000, 300, 207, 2907)
    (line,) = billing.invoices.get(invoice.id).lines
    assert json.loads(line.basis)["rates"] == [["State", "2.9", 78, "US-CO"], ["County", "4.81", 129, "Denver"]]
    explained = billing.explain("1")
    assert explained.agrees
    assert [str(step) for step in explained.lines[0].steps[-3:]] == [
        "State (US-CO), 2.9 % on 27.00 = 0.78",
        "County (Denver), 4.81 % on 27.00 = 1.29",
        "tax as the engine colorado reckoned it = 2.07",
    ]


def test_the_question_has_the_document_the_buyer_and_the_seller(billing, engine) -> None:
    billing.settings.set("seller", '{"country": "US", "registrations": ["US-CO"]}')
    billing.customers.update("acme", city="Denver", vat_number="US1", timezone="America/Denver")
    billing.subscriptions.create("s1", "acme", "pro-m")
    (asked,) = engine.asked
    (invoice,) = billing.invoices.list()
    assert (asked.document, asked.currency, asked.rounding) == (invoice.id, "USD", "group")
    assert (asked.buyer.city, asked.buyer.vat_number, asked.seller.registrations) == ("Denver", "US1", ("US-CO",))
    assert str(asked.on) == "2025-12-31"
    assert [line.amount for line in asked.lines] == [3000]


def test_an_inclusive_price_contains_what_the_engine_says(engine) -> None:
    catalog = json.loads(json.dumps(CATALOG))
    catalog["products"][0]["prices"][0]["tax"] = "inclusive"
    billing = books(plugins={"colorado": engine}, tax_engine="colorado", catalog=catalog, customers=())
    add(billing, "acme")
    billing.subscriptions.create("s1", "acme", "pro-m")
    (invoice,) = billing.invoices.list()
    assert (invoice.subtotal, invoice.tax, invoice.tax_included, invoice.total) == (3000, 213, 213, 3000)
    assert billing.explain("1").agrees


def test_a_line_without_tax_says_why(billing) -> None:
    add(billing, "free", tax_exempt=True)
    add(billing, "abroad", country="FR")
    billing.subscriptions.create("s1", "free", "pro-m")
    billing.subscriptions.create("s2", "abroad", "pro-m")
    told = [str(step) for one in ("1", "2") for step in billing.explain(one).lines[0].steps]
    assert "no tax: the customer or the subscription is exempt = 0" in told
    assert "no tax: the customer owes it himself (reverse charge) = 0" in told


def test_a_run_asks_for_every_document_that_it_makes(billing, engine) -> None:
    add(billing, "zeta")
    for number, customer in enumerate(("acme", "zeta")):
        billing.subscriptions.create(f"s{number}", customer, "pro-m")
    billing.run(day("03-02"))
    assert {invoice.tax for invoice in billing.invoices.list()} == {231}
    assert len(engine.asked) == len(billing.invoices.list()) == 6


def test_a_credit_carries_the_tax_that_was_billed_and_asks_nobody(billing, engine) -> None:
    billing.subscriptions.create("s1", "acme", "pro-m")
    engine.down = True
    billing.run(day("01-11"))
    billing.subscriptions.cancel("s1", credit="unused")
    assert len(engine.asked) == 1
    explained = billing.explain("CN-1")
    assert explained.agrees
    assert explained.lines[0].result.tax == -156


def test_a_void_invoice_that_is_billed_again_is_taxed_by_the_engine_of_now(billing, engine) -> None:
    billing.settings.set("tax_engine", "rates")
    billing.subscriptions.create("s1", "acme", "pro-m", collection="remittance")
    billing.settings.set("tax_engine", "colorado")
    billing.invoices.void("1", rebill=True)
    assert [invoice.tax for invoice in billing.invoices.list()] == [0, 231]
    assert billing.explain("2").agrees


def test_a_signup_that_cannot_be_taxed_changes_nothing(billing, engine) -> None:
    add(billing, "vague", postcode="?")
    before = dump(billing)
    assert refusal(billing.subscriptions.create, "s1", "vague", "pro-m").code == "tax_refused"
    engine.down = True
    assert refusal(billing.subscriptions.create, "s1", "acme", "pro-m").code == "tax_unavailable"
    assert dump(billing) == before


def test_a_renewal_that_cannot_be_taxed_is_parked_alone_and_goes_on_later(billing, engine) -> None:
    """Periods and the collection of others go on, and nothing is guessed."""
    for reference in ("b", "c", "d"):
        add(billing, reference)
    for reference in ("acme", "b", "c", "d"):
        billing.subscriptions.create(f"s-{reference}", reference, "pro-m")
    billing.customers.update("b", postcode="?")
    billing.run(day("02-02"))
    assert [one.subject for one in billing.doctor().troubles if one.kind == "parked subscription"] == ["s-b"]
    assert len(billing.invoices.list()) == 7
    billing.customers.update("b", postcode="80202")
    billing.unpark("s-b")
    billing.run(day("02-03"))
    assert len(billing.invoices.list()) == 8
    assert {invoice.tax for invoice in billing.invoices.list()} == {231}


def test_while_the_engine_is_down_the_fallback_is_asked_if_there_is_one(billing, engine) -> None:
    engine.down = True
    billing.settings.set("tax_fallback", "rates")
    add(billing, "german", country="DE")
    billing.subscriptions.create("s1", "german", "pro-m")
    (invoice,) = billing.invoices.list()
    assert invoice.tax == 570
    explained = billing.explain("1")
    assert explained.agrees
    assert "tax as the engine rates reckoned it = 5.70" in [str(step) for step in explained.lines[0].steps]


def test_a_tax_engine_that_is_not_there_cannot_be_set(billing) -> None:
    error = refusal(billing.settings.set, "tax_engine", "texas")
    assert error.code == "plugin_unknown"
    assert refusal(billing.settings.set, "tax_fallback", "texas").code == "plugin_unknown"
    assert billing.settings.list()["tax_engine"] == "colorado"


@pytest.mark.sqlite_only("the host's engine is one of SQLite; nothing of it is about the database")
def test_inside_the_hosts_transaction_a_local_engine_is_asked_as_always(engine, tmp_path) -> None:
    """It answers by itself, so nobody is waited for (behaviour 15)."""
    url = f"sqlite:///{tmp_path}/books.db"
    billing = books(url, plugins={"colorado": engine}, tax_engine="colorado", customers=())
    add(billing, "acme")
    host = sqlite_engine(url)
    with host.begin() as connection, billing.joined(connection) as joined:
        joined.subscriptions.create("s1", "acme", "pro-m")
    billing.run()
    host.dispose()
    (invoice,) = billing.invoices.list()
    assert (invoice.tax, invoice.due) == (231, 0)


def test_the_doctor_lists_an_engine_of_the_settings_that_is_not_installed() -> None:
    without = books(tax_engine="colorado")
    (trouble,) = [one for one in without.doctor().troubles if one.kind == "tax engine"]
    assert (trouble.subject, "not installed" in trouble.reason) == ("colorado", True)
    assert refusal(without.subscriptions.create, "s1", "acme", "pro-m").code == "plugin_unknown"
