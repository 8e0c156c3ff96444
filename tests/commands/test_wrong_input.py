"""Whatever is given to a verb, it does its work or refuses it; a refusal changes nothing (F31, F40)."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import strategies as st

from billcore.commands.verb import verbs_of
from billcore.domain.draft import LARGEST
from billcore.domain.money import Money
from billcore.errors import BillcoreError
from billcore.site import SiteReader
from tests import databases
from tests.builders import books, day, documents, dump, for_all, refusal

NUMBERS = [0, 1, -1, 2**31, 2**53, 2**62, 2**63 - 1, 2**63, -(2**63), 10**14, 10**15, 10**30, 10**400]
DATES = [
    "0001-01-01",
    "9999-12-31",
    "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00+14:00",
    "1899-12-31",
    "8999-12-31",
    "2026-02-30",
    "2026-W01-1",
    "2026-01-20",
    "2036-01-02",
    date.min,
    date.max,
    datetime.min.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=timezone(-timedelta(hours=14))),
    datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
    datetime(8999, 12, 31, 23, 59, tzinfo=UTC),
]
TEXTS = [
    "",
    " ",
    "\n",
    "\x00",
    "\ud800",
    "é" * 60,
    "💥",
    "１２",
    "²",
    "x" * 65,
    "x" * 10_001,
    "'; DROP TABLE billcore_customers; --",
    "%s{}",
    "NaN",
    "Infinity",
    "-0",
    "1e5",
    "1e-20",
    "1E+400",
    "4242424242424242",
    "99999999999 years",
    "-1 month",
    "now",
    "end",
]
OTHERS = [
    None,
    True,
    1.5,
    b"x",
    object(),
    timedelta(1),
    [],
    {},
    [1],
    {1: "a"},
    {"seats": 2**63},
    {"seats": "999999999999999"},
    {"calls": None},
    {"amount": "999999999999999"},
    {"amount": "1.00", "every": "9000 years"},
    {"trial": "9000 years"},
    {"expires_after": "100000000 periods"},
    ["TEN", "TEN"],
    ["\ud800"],
    ["9999-12-31", "0001-01-01"],
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("Infinity"),
    Decimal("1E+999999"),
    Decimal("1E-999999"),
    Money(2**61, "EUR"),
]
RIGHT = {
    "customer": ["acme", "free"],
    "subscription": ["s1", "trial", "held", "late", "open"],
    "invoice": ["1", "acme/1", "bolt/1", "bolt/2", "4"],
    "payment": ["acme/pay/1", "bolt/pay/1"],
    "amount": ["0.01", "12.34", "999999999999999", Money(1000, "USD")],
    "amounts": [{"bolt/2": "1.00"}, {"bolt/2": "999999999999999"}, {"acme/1": "1.00", "bolt/2": "2.00"}],
    "code": ["pro-m", "try", "seats", "calls", "TEN", "pro-eur", "support-m"],
    "quantity": ["1", "2.5", 999_999_999_999_999],
    "signed_quantity": ["1", 999_999_999_999_999],
    "reference": ["new", "e1"],
    "instant": ["2026-01-20", "2026-05-01"],
    "when": ["now", "period_end", "2026-01-20"],
    "billing_day": [1, 31, "end"],
    "quantities": [{"seats": "999999999999999"}, {"calls": "0"}],
    "codes": [["TEN"]],
    "custom": [{"amount": "999999999999999"}, {"amount": "1.00"}],
    "text": ["x"],
}
strange = st.one_of(
    st.sampled_from(NUMBERS),
    st.sampled_from(NUMBERS[:-1]).map(str),
    st.sampled_from(NUMBERS).map(Decimal),
    st.sampled_from(DATES),
    st.sampled_from(TEXTS),
    st.sampled_from(OTHERS),
    st.text(max_size=20),
    st.datetimes(),
    st.integers(),
    st.decimals(),
)


class Desk:
    """Books with some of everything, put back as they were before every call."""

    def __init__(self, stores):
        self.billing = books(stores.own(":memory:"), customers=("acme", "bolt", "free"))
        create = self.billing.subscriptions.create
        create("s1", "acme", "pro-m", components={"calls": "0"})
        create("trial", "acme", "try")
        create("held", "acme", "pro-m")
        create("late", "bolt", "pro-w")
        create("open", "bolt", "pro-m", collection="remittance")
        self.billing.subscriptions.hold("held")
        self.billing.gateway("test").script(["decline:insufficient_funds"], default="approve")
        self.billing.run(day("01-08"))
        self.verbs = [
            (noun, definition)
            for noun in (getattr(self.billing, name) for name in NOUNS)
            for definition in verbs_of(type(noun)).values()
        ]
        self.put_back = databases.image(self.billing)

    def tidy(self):
        self.put_back()
        self.billing._site = SiteReader()


NOUNS = (
    *("customers", "payment_methods", "subscriptions", "usage", "catalog", "invoices", "payments", "refunds"),
    *("credits", "prepayments", "settings"),
)
ATTEMPTED = ("billcore_payments", "billcore_idempotency")


@pytest.fixture(scope="module")
def desk(database_kind):
    with databases.stores(database_kind) as stores:
        yield Desk(stores)


def value_of(parameter):
    if parameter.kind is None:
        return st.sampled_from(parameter.choices) | strange
    right = RIGHT.get(parameter.kind.name)
    return strange if right is None else st.one_of(*[st.sampled_from(right)] * 3, strange)


def test_a_verb_does_its_work_or_refuses_and_changes_nothing(desk) -> None:
    def holds(data) -> None:
        desk.tidy()
        before = dump(desk.billing)
        noun, definition = data.draw(st.sampled_from(desk.verbs), label="verb")
        arguments = {
            parameter.name: data.draw(value_of(parameter), label=parameter.name)
            for parameter in definition.parameters
            if parameter.required or data.draw(st.integers(0, 3)) == 0
        }
        if data.draw(st.integers(0, 5)) == 0:
            arguments["idempotency_key"] = data.draw(strange, label="idempotency_key")
        try:
            getattr(noun, definition.name)(**arguments)
        except BillcoreError as error:
            refused = error
        else:
            return
        if refused.code != "payment_declined":  # Its attempt is kept.
            assert dump(desk.billing) == before, refused

    for_all(holds, sqlite=200, postgresql=40, data=st.data())


@pytest.mark.parametrize("amount", [2**63, 2**62, LARGEST // 100 + 1])
def test_an_amount_that_no_document_can_hold_is_refused(amount) -> None:
    billing = books()
    before = dump(billing)
    refused = refusal(billing.subscriptions.create, "s1", "acme", "pro-m", custom={"amount": f"{amount}.00"})
    assert refused.code in ("invalid_value", "catalog_invalid")
    assert dump(billing) == before


def test_a_quantity_times_a_price_that_no_document_can_hold_is_refused() -> None:
    """Each is in range, their product is not (F31: an error, not a wrapped number)."""
    billing = books()
    before = dump(billing)
    given = {"components": {"seats": "999999999999999"}}
    for price in ("pro-m", "pro-y", "solo-m"):
        assert refusal(billing.subscriptions.create, "s1", "acme", price, **given).code == "invalid_value"
    assert dump(billing) == before
    assert billing.gateway("test").charges() == 0


def test_a_renewal_that_no_document_can_hold_is_parked_alone_with_the_reason() -> None:
    """And goes on once the usage is corrected."""
    billing = books(customers=("acme", "bolt"))
    billing.subscriptions.create("s1", "acme", "pro-m", components={"calls": "0"})
    billing.subscriptions.create("s2", "bolt", "pro-m")
    billing.usage.record("s1", "calls", "999999999999999")
    billing.run(day("02-01"))
    one, two = billing.subscriptions.get("s1"), billing.subscriptions.get("s2")
    assert "too large for a document" in one.parked_reason and one.period_end == day("02-01")
    assert two.parked_at is None and two.period_end == day("03-01")
    billing.usage.record("s1", "calls", "-999999999999999", timestamp="2026-01-31")
    billing.unpark("s1")
    billing.run(day("02-02"))
    assert billing.subscriptions.get("s1").period_end == day("03-01")
    assert documents(billing, "acme")[-1][2] == 3000


@pytest.mark.parametrize(
    "given", [{"every": "9000 years"}, {"trial": "9000 years"}, {"expires_after": "99999999 periods"}]
)
def test_a_time_that_no_calendar_holds_is_refused(given) -> None:
    billing = books()
    before = dump(billing)
    custom = {"amount": "1.00", **given}
    refused = refusal(billing.subscriptions.create, "s1", "acme", "pro-m", custom=custom)
    assert refused.code in ("invalid_value", "catalog_invalid")
    assert dump(billing) == before


@pytest.mark.parametrize("parameter", ["starts_at", "trial_until", "ends_at", "next_billing_at"])
@pytest.mark.parametrize("when", ["0001-01-01", "9999-12-31", date.max, datetime.max.replace(tzinfo=UTC)])
def test_a_date_at_the_end_of_the_calendar_is_refused(parameter, when) -> None:
    billing = books()
    before = dump(billing)
    refused = refusal(billing.subscriptions.create, "s1", "acme", "pro-m", **{parameter: when})
    assert refused.code == "invalid_value" and parameter in refused.message
    assert dump(billing) == before


@pytest.mark.parametrize("parameter", ["trial_until", "ends_at", "starts_at"])
def test_a_date_is_waited_for_ten_years_and_no_longer(parameter) -> None:
    billing = books(timezone="Pacific/Kiritimati")
    before = dump(billing)
    refused = refusal(billing.subscriptions.create, "s1", "acme", "pro-m", **{parameter: "8999-12-31"})
    assert refused.code == "invalid_value" and refused.message.startswith(f"{parameter}: ")
    assert "more than ten years ahead" in refused.message
    assert dump(billing) == before
    billing.subscriptions.create("s1", "acme", "pro-m", **{parameter: "2035-12-31"})
    billing.run(day("03-01"))
    assert billing.verify().ok and billing.subscriptions.get("s1").parked_at is None


@pytest.mark.parametrize(
    ("option", "value"),
    [("idempotency_key", ""), ("idempotency_key", 1), ("idempotency_key", "\ud800"), ("actor", b"x")],
)
def test_options_of_a_command_are_texts(option, value) -> None:
    billing = books()
    before = dump(billing)
    refused = refusal(billing.customers.create, "bolt", **{option: value})
    assert refused.code == "invalid_value" and option in refused.message
    assert dump(billing) == before


def test_nothing_is_no_value_for_what_is_needed() -> None:
    billing = books()
    for noun, verb, arguments in (
        ("customers", "create", {"reference": None}),
        ("subscriptions", "get", {"subscription": None}),
        ("subscriptions", "create", {"reference": "s1", "customer": "acme", "price": "pro-m", "quantity": None}),
        ("invoices", "get", {"invoice": None}),
    ):
        refused = refusal(getattr(getattr(billing, noun), verb), **arguments)
        assert refused.code == "invalid_value" and "cannot be nothing" in refused.message


LOOP = {}
LOOP["products"] = LOOP


@pytest.mark.parametrize(
    ("catalog", "path"),
    [
        ({"products": [{"code": "x", "prices": [{"code": "x-m", "amount": 49.5}]}]}, "products[0].prices[0].amount"),
        ({"products": [{"code": "x", "name": time(1)}]}, "products[0].name"),
        ({"products": [{"code": "x", "name": b"x"}]}, "products[0].name"),
        ({"products": [{"code": "x", "name": "\ud800"}]}, "products[0].name"),
        ({"coupons": object()}, "coupons"),
        (LOOP, "products.products"),
    ],
)
def test_what_no_catalog_file_could_hold_is_named_by_its_key_path(catalog, path) -> None:
    """Python programs give floats first of all."""
    billing = books()
    before = dump(billing)
    refused = refusal(billing.catalog.apply, catalog)
    assert refused.code == "catalog_invalid" and path in refused.message
    assert dump(billing) == before


@pytest.mark.parametrize("when", ["", "soon", 1, object(), date.max, datetime.max.replace(tzinfo=UTC)])
def test_a_run_up_to_no_instant_is_refused(when) -> None:
    billing = books()
    assert refusal(billing.run, when).code == "invalid_value"


def test_a_run_takes_an_instant_as_verbs_do() -> None:
    billing = books(timezone="Europe/Berlin")
    for when in ("2026-02-01", date(2026, 2, 1), day("01-31T23:00")):
        assert billing.run(when).until == day("01-31T23:00")


@pytest.mark.parametrize("ref", [None, 1, "", "\ud800", b"x"])
def test_what_names_nothing_is_neither_explained_nor_unparked(ref) -> None:
    billing = books()
    assert refusal(billing.explain, ref).code == "invalid_value"
    assert refusal(billing.unpark, ref).code == "invalid_value"


@pytest.mark.parametrize("redeem_by", [date.min, date.max, "0001-01-01", "9999-12-31T23:59:59-14:00"])
def test_a_date_in_a_catalog_can_be_stored_in_every_zone(redeem_by) -> None:
    """What cannot be read again would keep the whole store from opening."""
    billing = books(timezone="America/New_York")
    before = dump(billing)
    catalog = {"coupons": [{"code": "EVER", "percent_off": "10", "redeem_by": redeem_by}]}
    assert refusal(billing.catalog.apply, catalog).code == "catalog_invalid"
    assert dump(billing) == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("not_found_after", "9000 years"),
        ("signup_expires_after", "99999999999 years"),
        ("not_found_after", "88000 hours"),
    ],
)
def test_a_setting_that_leads_out_of_the_calendar_is_refused(name, value) -> None:
    """A run would stop at the first payment in doubt."""
    assert refusal(books().settings.set, name, value).code == "invalid_value"
    assert refusal(books, **{name: value}).code == "invalid_value"


def test_dunning_in_thousands_of_years_is_refused() -> None:
    assert refusal(books, dunning={"retry_after": ["1 day", "9000 years"]}).code == "invalid_value"


def test_nothing_is_no_value_for_what_is_always_there() -> None:
    """Of a customer and a subscription some fields may be emptied, others not."""
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    before = dump(billing)
    for name in ("reference", "country", "city", "tax_exempt", "custom_fields"):
        assert refusal(billing.customers.update, "acme", **{name: None}).facts["parameter"] == name
    for name in ("reference", "collection", "send_invoice_emails", "tax_exempt"):
        assert refusal(billing.subscriptions.update, "s1", **{name: None}).facts["parameter"] == name
    assert dump(billing) == before
    assert billing.customers.update("acme", phone=None).phone is None


@pytest.mark.parametrize("place", ["0", "99999999999999999999", "\u0663"])
def test_a_place_that_no_document_has_is_not_found(place) -> None:
    billing = books()
    for find, name in (
        (billing.invoices.get, f"acme/{place}"),
        (billing.payments.get, f"acme/pay/{place}"),
        (billing.refunds.get, f"acme/refund/{place}"),
    ):
        assert refusal(find, name).code == "not_found"


@pytest.mark.parametrize("given", [{"token": ""}, {"expires_on": "2026-13"}, {"expires_on": "soon"}])
def test_a_method_has_a_token_and_ends_with_a_month(given) -> None:
    billing = books()
    assert refusal(billing.payment_methods.add, "acme", **{"token": "approve", **given}).code == "invalid_value"
    assert billing.payment_methods.add("acme", "approve", expires_on="2026-12").expires_on == "2026-12"
