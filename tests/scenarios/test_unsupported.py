"""What the format has and this version has not is said before anything runs; it is never taken for ok."""

import pytest

from billcore.scenario import verbs
from billcore.scenario.runner import check_story
from tests.scenarios.stories import CUSTOMER, PLAN, SIGNUP, read


@pytest.fixture
def without_change(monkeypatch):
    """A version that has no subscriptions.change, and whose subscriptions.cancel knows no `credit`."""
    known = {name: made for name, made in verbs.verbs().items() if name != "subscriptions.change"}
    monkeypatch.setattr(verbs, "verbs", lambda: known)
    verbs._has.cache_clear()
    yield
    verbs._has.cache_clear()


def lacking(folder, **changes):
    verdict = check_story(read(folder, **changes))
    assert not verdict.ok
    assert verdict.unsupported
    assert verdict.failures == ()
    return verdict.error


def test_a_verb_that_is_missing_is_named(tmp_path, without_change):
    step = {"do": "subscriptions.change", "subscription": "s1", "price": "plan-m"}
    assert lacking(tmp_path, steps=[CUSTOMER, SIGNUP, step]) == "unsupported: subscriptions.change"


def test_a_parameter_that_is_missing_is_named_with_its_verb(tmp_path):
    step = {**CUSTOMER, "affiliate": "a1"}
    assert lacking(tmp_path, steps=[step]) == "unsupported: customers.create(affiliate)"


@pytest.mark.parametrize("key", ["features", "messages", "shipments"])
def test_an_expectation_that_is_missing_is_named(tmp_path, key):
    assert lacking(tmp_path, expect={key: {}}) == f"unsupported: expect.{key}"
    assert lacking(tmp_path, steps=[{"do": "expect", key: {}}]) == f"unsupported: expect.{key}"


def test_a_kind_of_catalog_entry_that_is_missing_is_named(tmp_path):
    assert lacking(tmp_path, catalog={**PLAN, "shipping_methods": []}) == "unsupported: catalog.shipping_methods"


def test_what_the_format_names_is_found_in_the_code_once_it_is_there():
    """The list of later words cannot hide a parameter that exists: known names come from the verbs."""
    for name, definition in verbs.verbs().items():
        assert {parameter.name for parameter in definition.parameters} <= set(verbs.known_parameters(name))
        assert verbs.lacking_in_step(name, {parameter.name: "x" for parameter in definition.parameters}) is None
