"""Site settings: every value is checked, and what is written is read back the same (behaviour 16)."""

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billcore.domain.states import STATES
from billcore.errors import InvalidValue
from billcore.lengths import surely_longer
from billcore.settings import ChangeMode, DunningPolicy, Seller, Settings

TABLE = {
    "proration_basis",
    "period_policy",
    "billing_time",
    "consolidate",
    "issue_zero_invoices",
    "tax_rounding",
    "tax_engine",
    "tax_fallback",
    "tax_wait",
    "seller",
    "signup_decline",
    "start_decline",
    "activation_decline",
    "change_decline",
    "async_signup",
    "method_fallback",
    "signup_expires_after",
    "dunning",
    "upgrade",
    "downgrade",
    "invoice_at",
    "net_terms",
    "apply_credits",
    "apply_prepayments",
    "expiry_from",
    "expiry_follows",
    "service_in",
    "trial_once",
    "referral_coupon",
    "referral_credit",
    "paused",
    "not_found_after",
    "invoice_number",
    "require_customer_name",
    "require_customer_email",
    "quiet_hours",
}


def refusal(data, base=None):
    with pytest.raises(InvalidValue) as caught:
        Settings.from_mapping(data, base)
    return caught.value


def test_nothing_given_is_the_default():
    assert Settings.from_mapping({}) == Settings()
    assert Settings().to_mapping(changed_only=True) == {}


def test_every_setting_of_the_table_can_be_read_and_written():
    assert set(Settings().to_mapping()) == TABLE | {"timezone", "currency"}


def test_defaults_are_those_of_the_table():
    told = Settings().to_mapping()
    assert told["dunning"] == {"retry_after": ["1 day", "3 days", "5 days", "7 days"], "final": "leave"}
    assert told["net_terms"] == {"automatic": 0, "remittance": 30}
    assert told["service_in"] == ["trialing", "active", "soft_failure", "past_due"]
    assert told["signup_decline"] == "refuse"
    assert told["start_decline"] == "past_due"
    assert told["activation_decline"] == "revert"
    assert told["change_decline"] == "keep"
    assert (told["tax_fallback"], told["tax_wait"], told["quiet_hours"]) == ("none", "3 days", "none")


def test_states_are_those_of_a_subscription():
    """`service_in` may name every state of behaviour 5, and nothing else."""
    assert Settings.from_mapping({"service_in": list(STATES)}).service_in == STATES
    assert refusal({"service_in": ["asleep"]}).facts["setting"] == "service_in"


def test_names_not_given_keep_the_base():
    base = Settings(consolidate=False, dunning=None)
    assert Settings.from_mapping({"tax_rounding": "line"}, base) == Settings(
        consolidate=False, dunning=None, tax_rounding="line"
    )


def test_keys_not_given_of_a_table_keep_the_base():
    base = Settings(net_terms_automatic=5, dunning=DunningPolicy(("2 days",), "cancel"), seller=Seller("DE"))
    read = Settings.from_mapping(
        {"net_terms": {"remittance": 14}, "dunning": {"final": "unpaid"}, "seller": {"vat_number": "DE1"}},
        base,
    )
    assert (read.net_terms_automatic, read.net_terms_remittance) == (5, 14)
    assert read.dunning == DunningPolicy(("2 days",), "unpaid")
    assert read.seller == Seller("DE", vat_number="DE1")


def test_dunning_can_be_off_and_without_retries():
    off = Settings.from_mapping({"dunning": "none"})
    assert off.dunning is None
    assert Settings.from_mapping({"dunning": {"retry_after": []}}, off).dunning == DunningPolicy(())


def test_durations_are_kept_in_one_form():
    read = Settings.from_mapping({"dunning": {"retry_after": ["1 days", "2 day"]}, "tax_wait": "01 weeks"})
    assert read.dunning == DunningPolicy(("1 day", "2 days"))
    assert read.tax_wait == "1 week"


def test_an_unknown_name_is_refused_with_the_nearest():
    error = refusal({"proration_bassis": "day"})
    assert error.code == "invalid_value"
    assert error.remedy == "Did you mean proration_basis?"
    assert "net_terms" in refusal({"net_terms_automatic": 3}).remedy
    assert "final" in refusal({"dunning": {"finale": "cancel"}}).remedy
    assert "There are" in refusal({"zzzz": 1}).remedy


@pytest.mark.parametrize(
    ("name", "value", "setting"),
    [
        ("proration_basis", "hour", "proration_basis"),
        ("tax_rounding", None, "tax_rounding"),
        ("tax_engine", "no name", "tax_engine"),
        ("consolidate", "yes", "consolidate"),
        ("consolidate", 1, "consolidate"),
        ("billing_time", "24:00", "billing_time"),
        ("billing_time", "9:00", "billing_time"),
        ("billing_time", 9, "billing_time"),
        ("tax_wait", "3", "tax_wait"),
        ("tax_wait", "0 days", "tax_wait"),
        ("not_found_after", "-1 hour", "not_found_after"),
        ("signup_expires_after", ["1 hour"], "signup_expires_after"),
        ("tax_fallback", "my engine", "tax_fallback"),
        ("seller", "DE", "seller"),
        ("seller", {"country": "Germany"}, "seller.country"),
        ("seller", {"vat_number": 5}, "seller.vat_number"),
        ("seller", {"registrations": "DE"}, "seller.registrations"),
        ("seller", {"registrations": ["germany"]}, "seller.registrations"),
        ("dunning", None, "dunning"),
        ("dunning", {"final": "give up"}, "dunning.final"),
        ("dunning", {"retry_after": "3 days"}, "dunning.retry_after"),
        ("dunning", {"retry_after": ["1 day", "x"]}, "dunning.retry_after[1]"),
        ("dunning", {"retry_after": ["3 days", "3 days"]}, "dunning.retry_after[1]"),
        ("dunning", {"retry_after": ["1 day", "5 days", "3 days"]}, "dunning.retry_after[2]"),
        ("upgrade", "same", "upgrade"),
        ("invoice_at", "later", "invoice_at"),
        ("net_terms", 30, "net_terms"),
        ("net_terms", {"automatic": 181}, "net_terms.automatic"),
        ("net_terms", {"remittance": -1}, "net_terms.remittance"),
        ("net_terms", {"remittance": True}, "net_terms.remittance"),
        ("net_terms", {"remittance": "30"}, "net_terms.remittance"),
        ("service_in", "active", "service_in"),
        ("trial_once", "card", "trial_once"),
        ("invoice_number", "INV", "invoice_number"),
        ("invoice_number", "{number}{number}", "invoice_number"),
        ("invoice_number", "{number!r}", "invoice_number"),
        ("invoice_number", "{number.real}", "invoice_number"),
        ("invoice_number", "{number:>9}", "invoice_number"),
        ("invoice_number", "{customer}-{number}", "invoice_number"),
        ("invoice_number", "{number", "invoice_number"),
        ("invoice_number", 7, "invoice_number"),
        ("quiet_hours", ["21:00"], "quiet_hours"),
        ("quiet_hours", ["21:00", "21:00"], "quiet_hours"),
        ("quiet_hours", ["21:00", "8"], "quiet_hours"),
        ("timezone", "Mars/Base", "timezone"),
        ("timezone", "../etc", "timezone"),
        ("timezone", "", "timezone"),
        ("currency", "usd", "currency"),
    ],
)
def test_a_value_out_of_its_range_is_refused_by_name(name, value, setting):
    error = refusal({name: value})
    assert error.facts["setting"] == setting
    assert setting in error.message
    assert error.remedy


@pytest.mark.parametrize("text", ["{number}", "{series}{number:06}", "{series}-{year}-{number:05d}", "{{{number}}}"])
def test_invoice_numbers_have_series_year_and_number(text):
    assert Settings.from_mapping({"invoice_number": text}).invoice_number == text
    assert "7" in text.format(series="A", year=2026, number=7)


@pytest.mark.parametrize(
    ("longer", "shorter", "surely"),
    [
        ("2 days", "1 day", True),
        ("1 day", "1 day", False),
        ("90 minutes", "1 hour", True),
        ("2 weeks", "13 days", True),
        ("1 day", "24 hours", False),  # 23 hours when clocks go forward
        ("25 hours", "1 day", False),  # 25 hours when they go back
        ("26 hours", "1 day", True),
        ("1 month", "4 weeks", False),  # 28 days in February
        ("1 month", "27 days", True),
        ("31 days", "1 month", False),
        ("32 days", "1 month", True),
        ("1 year", "12 months", False),
        ("13 months", "1 year", True),
        ("366 days", "1 year", False),
        ("367 days", "1 year", True),
    ],
)
def test_durations_rise_only_if_they_do_from_every_instant(longer, shorter, surely):
    assert surely_longer(longer, shorter) is surely


def test_a_duration_that_is_none_cannot_be_compared():
    with pytest.raises(InvalidValue):
        surely_longer("soon", "1 day")


changes = st.fixed_dictionaries(
    {},
    optional={
        "proration_basis": st.sampled_from(["second", "day", "fixed_30"]),
        "consolidate": st.booleans(),
        "upgrade": st.sampled_from(get_args(ChangeMode)),
        "dunning": st.just("none")
        | st.fixed_dictionaries(
            {
                "retry_after": st.lists(st.integers(1, 60), unique=True, max_size=5).map(
                    lambda days: [f"{day} days" for day in sorted(days)]
                ),
                "final": st.sampled_from(["cancel", "unpaid", "leave"]),
            }
        ),
        "net_terms": st.fixed_dictionaries({"automatic": st.integers(0, 180)}),
        "service_in": st.lists(st.sampled_from(STATES), max_size=4),
        "tax_fallback": st.sampled_from(["none", "table"]),
        "quiet_hours": st.sampled_from(["none", ["21:00", "08:00"]]),
        "seller": st.fixed_dictionaries({"country": st.sampled_from(["", "DE"]), "registrations": st.just(["US-NY"])}),
        "timezone": st.sampled_from(["UTC", "Europe/Berlin"]),
    },
)


@given(changes)
def test_what_is_written_is_read_back_the_same(data):
    read = Settings.from_mapping(data)
    for changed_only in (False, True):
        assert Settings.from_mapping(json.loads(json.dumps(read.to_mapping(changed_only=changed_only)))) == read
    assert set(read.to_mapping(changed_only=True)) <= set(data)
