"""Catalog files: what they mean, and one clear message for everything that is wrong with one."""

import tomllib
from copy import deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from billcore.domain.catalog import Grant, Periods, Phase, Price, Rollover, TopUp
from billcore.domain.catalog_reader import read_catalog
from billcore.domain.catalog_writer import export_catalog
from billcore.domain.periods import Duration
from billcore.errors import FileInvalid

MONTH = Duration(1, "month")


def full_file():
    """One file with every key."""
    return tomllib.loads(Path(__file__).with_name("full_catalog.toml").read_text(encoding="utf-8"))


def read(data, **options):
    return read_catalog(data, **{"currency": "USD", "zone": "UTC", **options})


def refused(data, **options):
    """The error that a file gets."""
    with pytest.raises(FileInvalid) as caught:
        read(data, **options)
    error = caught.value
    assert error.code == "catalog_invalid"
    assert error.message.startswith(f"{error.facts['path']}: ")
    assert error.remedy
    return error


def changed(change, data=None):
    """The full file after `change`, a list of keys and then the new value; None removes the key."""
    data = deepcopy(data or full_file())
    *keys, last, value = change
    table = data
    for key in keys:
        table = table[key]
    if value is None:
        del table[last]
    else:
        table[last] = value
    return data


PLAN = ("products", 0, "prices", 0)
SEATS = ("components", 0, "prices", 0)
STEPS = ("components", 0, "prices", 1)
TIERS = ("components", 1, "prices", 0)
SHARE = ("components", 1, "prices", 3)
WORLD = ("products", 0, "prices", 1)
PACKS = ("components", 1, "prices", 2)
GRANT = (*PLAN, "grants", 0)

# The same as key paths.
P, W = "products[0].prices[0].", "products[0].prices[1]."
S, T = "components[0].prices[0].", "components[1].prices[0]."
K, C = "components[1].prices[2].", "components[1].prices[3]."
G = P + "grants[0]."


def test_every_key_of_a_price_has_its_value():
    price = read(full_file()).price("pro-monthly")
    assert price == Price(
        "pro-monthly",
        product="pro",
        amounts={"USD": Decimal("49.00")},
        every=MONTH,
        trial=Duration(14, "day"),
        trial_amount=Decimal(1),
        trial_end="end",
        setup_fee=Decimal(10),
        setup_fee_at="trial_end",
        expires_after=Periods(12),
        tax="inclusive",
        phases=(Phase(Duration(3, "month"), {"USD": Decimal(29)}),),
        grants=(
            Grant(
                "api-calls",
                included=Decimal(1000),
                every=MONTH,
                rollover=Rollover(Decimal(500), Duration(2, "month")),
                overage="bill",
                overage_limit=Decimal(50),
                expires_after=Duration(90, "day"),
                priority=1,
                top_up=TopUp(Decimal(10), Decimal(100), Decimal(3)),
                carry="unused",
            ),
        ),
        minimum=Decimal(100),
        thresholds=(Decimal(500), Decimal(1000)),
    )


def test_metered_prices_are_billed_in_arrears_and_others_in_advance():
    catalog = read(full_file())
    assert catalog.price("calls-tiers").bill == "arrears"
    assert catalog.price("seats-steps").bill == "advance"
    assert catalog.price("training-day").bill == "advance"


def test_a_component_price_without_interval_follows_its_product():
    catalog = read(full_file())
    assert catalog.price("seats-steps").every is None
    assert not catalog.price("seats-steps").once


@pytest.mark.parametrize("code", ["manual-once", "training-day"])
def test_one_time_goods_are_charged_once(code):
    price = read(full_file()).price(code)
    assert price.once
    assert price.every is None


def test_a_price_sold_in_one_foreign_currency_has_its_fees_in_it():
    data = changed((*PLAN, "amounts", {"EUR": "45.00"}), changed((*PLAN, "amount", None)))
    data = changed((*PLAN, "phases", None), data)
    assert read(data).price("pro-monthly").currency == "EUR"


def test_amounts_in_several_currencies_start_with_the_currency_of_the_file():
    price = read(full_file(), currency="EUR").price("pro-world")
    assert price.currencies == ("EUR", "JPY")


def test_a_date_is_midnight_in_the_zone_of_the_file():
    at = read(full_file(), zone="Europe/Berlin").coupon("WELCOME10").redeem_by
    assert at == datetime(2026, 12, 30, 23, tzinfo=UTC)
    text = changed(("coupons", 0, "redeem_by", "2026-12-31"))
    assert read(text, zone="Europe/Berlin").coupon("WELCOME10").redeem_by == at


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("2026-12-31T12:00:00Z", datetime(2026, 12, 31, 12, tzinfo=UTC)),
        ("2026-12-31T12:00:00+01:00", datetime(2026, 12, 31, 11, tzinfo=UTC)),
        ("2026-12-31T12:00:00", datetime(2026, 12, 31, 17, tzinfo=UTC)),
    ],
)
def test_an_instant_may_carry_its_offset_and_is_local_without(written, at):
    data = changed(("coupons", 0, "redeem_by", written))
    assert read(data, zone="America/New_York").coupon("WELCOME10").redeem_by == at


def test_the_currency_of_the_file_beats_the_default():
    data = {"currency": "EUR", "coupons": [{"code": "A", "amount_off": "1.00"}]}
    assert read(data, currency="USD").coupon("A").currency == "EUR"


def test_what_has_no_name_is_called_by_its_code():
    assert read(full_file()).component("calls").name == "calls"


def test_a_file_may_refer_to_what_is_stored_already():
    stored = read(full_file())
    later = {
        "products": [
            {
                "code": "max",
                "components": ["seats"],
                "prices": [
                    {
                        "code": "max-m",
                        "amount": "99.00",
                        "every": "1 month",
                        "grants": [{"feature": "api-calls"}],
                    }
                ],
            }
        ],
        "coupons": [{"code": "MAX", "percent_off": "1", "applies_to": ["pro-monthly", "max"]}],
    }
    assert read(later, known=stored).coupon("MAX").applies_to == ("pro-monthly", "max")
    assert refused(later).facts["path"] == "products[0].components[0]"


def test_a_price_code_stays_with_its_product():
    stored = read(full_file())
    moved = {"products": [{"code": "max", "prices": [{"code": "pro-monthly", "amount": "1", "every": "1 day"}]}]}
    assert "already belongs to 'pro'" in refused(moved, known=stored).message


BAD = [
    (("prodcts", []), "prodcts", "'products'"),
    (("products", {}), "products", "brackets"),
    (("products", 0, 7), "products[0]", "{ key = value }"),
    (("products", 0, "prices", []), "products[0].prices", "at least one"),
    (("currency", "USX"), "currency", "USD"),
    (("products", 0, "code", "a b"), "products[0].code", "A-Z a-z 0-9"),
    (("products", 0, "code", "x" * 65), "products[0].code", "1 to 64"),
    (("products", 0, "name", "two\nlines"), "products[0].name", "one line"),
    (("products", 0, "kind", "plans"), "products[0].kind", "plan, addon"),
    (("products", 0, "taxable", "yes"), "products[0].taxable", "true or false"),
    (("products", 0, "components", ["seat"]), "products[0].components[0]", "'seats'"),
    (("products", 1, "code", "pro"), "products[1].code", "Rename"),
    (("products", 1, "prices", 0, "every", "1 month"), "products[1].prices[0].every", "once"),
    (("components", 1, "code", "seats"), "components[1].code", "Rename"),
    (("components", 0, "kind", None), "components[0].kind", "Add kind"),
    ((*PLAN, "amont", "1"), P + "amont", "'amount'"),
    ((*PLAN, "amount", None), P + "amount", "Add amount"),
    ((*PLAN, "amount", "49.001"), P + "amount", "2 decimals"),
    ((*PLAN, "amount", "-1.00"), P + "amount", "zero or more"),
    ((*PLAN, "amount", 4.9), P + "amount", '"4.9" in quotes'),
    ((*PLAN, "amount", 49), P + "amount", '"49" in quotes'),
    ((*PLAN, "amount", True), P + "amount", "in quotes"),
    ((*PLAN, "amount", "1e3"), P + "amount", "digits"),
    ((*PLAN, "amount", "9999999999999999"), P + "amount", "digits"),
    ((*PLAN, "amounts", {"USD": "1"}), P + "amounts", "Keep one"),
    ((*PLAN, "trial_amount", "1.234"), P + "trial_amount", "2 decimals"),
    ((*PLAN, "setup_fee", "0.001"), P + "setup_fee", "2 decimals"),
    ((*PLAN, "every", None), P + "every", "Add every"),
    ((*PLAN, "every", "monthly"), P + "every", "14 days"),
    ((*PLAN, "every", "0 months"), P + "every", "1 day"),
    ((*PLAN, "every", "6 hours"), P + "every", "1 month"),
    ((*PLAN, "every", "once"), P + "trial", "Remove"),
    ((*PLAN, "trial", "0 days"), P + "trial", "1 day"),
    ((*PLAN, "expires_after", "0 periods"), P + "expires_after", "14 days"),
    ((*PLAN, "scheme", "volume"), P + "amount", "per_unit"),
    ((*PLAN, "thresholds", ["5.00", "5.00"]), P + "thresholds[1]", "Order"),
    ((*PLAN, "phases", 0, "for", None), P + "phases[0].for", "Add for"),
    ((*PLAN, "phases", 0, "amounts", {"USD": "1"}), P + "phases[0].amounts", "Keep one"),
    ((*PLAN, "phases", 0, {"for": "1 month", "amounts": {"EUR": "1"}}),
     P + "phases[0].amounts", "each currency"),
    ((*GRANT, "feature", "api-cals"), G + "feature", "'api-calls'"),
    ((*GRANT, "every", None), G + "rollover", "Add every"),
    ((*GRANT, "overage", "cap"), G + "overage_limit", "bill"),
    ((*GRANT, "rollover", "maximum", "1"), G + "rollover.maximum", "'max'"),
    ((*GRANT, "priority", "1.5"), G + "priority", "whole number"),
    ((*WORLD, "setup_fee", "1.00"), W + "setup_fee", "price of its own"),
    ((*WORLD, "amounts", {}), W + "amounts", "at least one"),
    ((*WORLD, "amounts", "JPY", "0.5"), W + "amounts.JPY", "without decimals"),
    ((*WORLD, "amounts", "YEN", "5"), W + "amounts.YEN", "YER"),
    ((*SEATS, "code", "pro-monthly"), S + "code", "Rename"),
    ((*SEATS, "amount", "5.00"), S + "amount", "'unit_amount'"),
    ((*SEATS, "unit_amount", None), S + "unit_amount", "Add unit_amount"),
    ((*SEATS, "unit_amount", "0.0000000000001"), S + "unit_amount", "12"),
    ((*SEATS, "tiers", [{"unit_amount": "1"}]), S + "tiers", '"graduated"'),
    ((*SEATS, "minimum", "501.00"), S + "minimum", "change"),
    ((*SEATS, "upgrade", "prorate"), S + "upgrade", "prorated, full, none"),
    ((*SEATS, "trial", "1 day"), S + "trial", "There are"),
    ((*STEPS, "tiers", 0, "unit_amount", "1"), "components[0].prices[1].tiers[0].unit_amount", "flat_amount"),
    ((*STEPS, "tiers", 1, {}), "components[0].prices[1].tiers[1].flat_amount", "Add flat_amount"),
    ((*TIERS, "bill", "advance"), T + "bill", "arrears"),
    ((*TIERS, "tiers", []), T + "tiers", "at least one"),
    ((*TIERS, "tiers", 0, "up_to", None), T + "tiers[0].up_to", "every tier but the last"),
    ((*TIERS, "tiers", 0, "up_to", "0"), T + "tiers[0].up_to", "above zero"),
    ((*TIERS, "tiers", 1, "up_to", "20"), T + "tiers[1].up_to", "open tier"),
    ((*TIERS, "tiers", 1, "up_to", "10"), T + "tiers[1].up_to", "without overlap"),
    ((*TIERS, "tiers", 1, {}), T + "tiers[1].unit_amount", "Add unit_amount"),
    ((*TIERS, "tiers", 1, {"unit_amount": "1", "rate": "1"}), T + "tiers[1].rate", "unit_amount"),
    ((*PACKS, "package_size", "0"), K + "package_size", "above zero"),
    ((*PACKS, "package_amount", None), K + "package_amount", "Add"),
    ((*SHARE, "rate", 1.3), C + "rate", '"1.3" in quotes'),
    ((*SHARE, "rate", None), C + "rate", "Add rate"),
    ((*SHARE, "minimum_per_event", "3.00"), C + "minimum_per_event", "change"),
    (("coupons", 1, "code", "WELCOME10"), "coupons[1].code", "Rename"),
    (("coupons", 0, "amount_off", "5.00"), "coupons[0].percent_off", "Give one"),
    (("coupons", 0, "percent_off", None), "coupons[0].percent_off", "Give one"),
    (("coupons", 0, "percent_off", "101"), "coupons[0].percent_off", "at most 100"),
    (("coupons", 0, "applies_to", ["por"]), "coupons[0].applies_to[0]", "'pro'"),
    (("coupons", 0, "applies_to", []), "coupons[0].applies_to", "Name a code"),
    (("coupons", 0, "max_redemptions", 0), "coupons[0].max_redemptions", "at least 1"),
    (("coupons", 0, "redeem_by", "31.12.2026"), "coupons[0].redeem_by", "2026-01-31"),
    (("coupons", 0, "redeem_by", 2026), "coupons[0].redeem_by", "2026-01-31"),
    (("coupons", 0, "duration", "sometimes"), "coupons[0].duration", "14 days"),
    (("features", 1, "code", "api-calls"), "features[1].code", "Rename"),
    (("features", 2, "credit_cost", "image", "0"), "features[2].credit_cost.image", "above zero"),
    (("taxes", 0, "rate", 19.0), "taxes[0].rate", '"19.0" in quotes'),
    (("taxes", 0, "country", "Germany"), "taxes[0].country", '"DE"'),
    (("taxes", 0, "from", "2021-13-01"), "taxes[0].from", "2026-01-31"),
    (("taxes", 1, "until", "2021-01-01"), "taxes[1].until", "later"),
    (("taxes", 1, {"country": "DE", "name": "A", "rate": "7", "from": "2021-01-01"}), "taxes[1]", "Remove"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "path", "remedy"), BAD, ids=lambda part: None)
def test_every_error_names_its_key_path_and_what_to_do(change, path, remedy):
    error = refused(changed(change))
    assert error.facts["path"] == path
    assert remedy in error.remedy


def places(part, path=()):
    """The path of everything inside a file."""
    if path:
        yield path
    entries = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, entry in entries:
        yield from places(entry, (*path, key))


@pytest.mark.parametrize(
    "garbage",
    [
        None,
        "",
        " ",
        -1,
        10**40,
        1.5,
        float("nan"),
        True,
        [],
        {},
        [[]],
        {"": ""},
        "9" * 40,
        "1 month",
        "١",
        b"1",
    ],
    ids=repr,
)
def test_garbage_anywhere_is_refused_or_understood_and_nothing_else(garbage):
    for path in places(full_file()):
        data = full_file()
        *keys, last = path
        table = data
        for key in keys:
            table = table[key]
        table[last] = garbage
        try:
            catalog = read(data)
        except FileInvalid as error:
            understood = error.facts["path"] and error.remedy
        else:
            understood = read(export_catalog(catalog)) == catalog
        assert understood, path


def test_a_catalog_inside_another_file_has_longer_key_paths():
    error = refused({"products": [{"code": "a"}]}, path="catalog")
    assert error.facts["path"] == "catalog.products[0].prices"
