"""Expected against actual: only given keys count, documents are complete and in order, lines complete in any order."""

from billcore.scenario.compare import compare
from billcore.scenario.story import Failure


def line(**changes):
    return {"kind": "product", "code": "p", "from": "2026-01-01", "quantity": "1", "amount": "10.00", **changes}


def world(**changes):
    return {
        "invoices": [
            {"customer": "acme", "issued": "2026-01-01", "total": "10.00", "lines": [line()]},
            {"customer": "acme", "issued": "2026-02-01", "total": "20.00", "lines": [line(amount="20.00")]},
        ],
        "credit_notes": [],
        "payments": [],
        "subscriptions": {"s1": {"state": "active", "next_billing": "none"}},
        "customers": {"acme": {"due": {}, "credit": {"USD": "5.00"}, "prepayment": {"USD": "1.00", "EUR": "2.00"}}},
        **changes,
    }


def differences(expect, actual=None, zone="UTC"):
    return compare(expect, actual or world(), zone)


def test_nothing_expected_is_always_met():
    assert differences({}) == []


def test_only_the_keys_that_are_given_count():
    assert differences({"invoices": [{}, {"total": "20.00"}]}) == []


def test_amounts_quantities_and_instants_compare_by_value():
    one = {"issued": "2026-01-01T01:00:00+01:00", "total": "10", "lines": [{"quantity": 1, "amount": "10.0"}]}
    assert differences({"invoices": [one, {}]}) == []


def test_a_date_is_midnight_in_the_zone():
    actual = world(invoices=[{"issued": "2025-12-31T23:00:00Z", "lines": []}])
    assert differences({"invoices": [{"issued": "2026-01-01"}]}, actual, "Europe/Berlin") == []
    assert differences({"invoices": [{"issued": "2026-01-01"}]}, actual, "UTC") == [
        Failure("invoices[0].issued", "2026-01-01", "2025-12-31T23:00:00Z")
    ]


def test_documents_are_complete():
    found = differences({"invoices": [{"total": "10.00"}]})
    assert [failure.path for failure in found] == ["invoices.length", "invoices[1]"]
    assert differences({"credit_notes": [{"total": "1.00"}]})[1] == Failure(
        "credit_notes[0]", {"total": "1.00"}, "nothing"
    )


def test_documents_are_in_order_of_creation():
    found = differences({"invoices": [{"total": "20.00"}, {"total": "10.00"}]})
    assert [failure.path for failure in found] == ["invoices[0].total", "invoices[1].total"]


def test_a_partial_list_names_some_in_their_order():
    assert differences({"partial": ["invoices"], "invoices": [{"total": "20.00"}]}) == []
    wrong = {"partial": ["invoices"], "invoices": [{"total": "20.00"}, {"total": "10.00"}]}
    assert [failure.path for failure in differences(wrong)] == ["invoices[1]"]


def test_lines_are_a_complete_set_in_any_order():
    lines = [line(), line(code="q", amount="5.00"), line(code="q", amount="6.00")]
    actual = world(invoices=[{"lines": lines}])
    assert differences({"invoices": [{"lines": [{"amount": "6.00"}, {"amount": "5.00"}, {"code": "p"}]}]}, actual) == []
    missing = differences({"invoices": [{"lines": [{"amount": "6.00"}, {"code": "p"}]}]}, actual)
    assert [(failure.path, failure.expected) for failure in missing] == [("invoices[0].lines[2]", "nothing")]
    more = differences({"invoices": [{"lines": [{}, {}, {}, {"code": "r"}]}]}, actual)
    assert [failure.actual for failure in more] == ["nothing"]


def test_a_vague_line_does_not_take_the_place_of_an_exact_one():
    """`q` alone fits both; it must leave the one at 5.00 to the line that asks for it."""
    actual = world(invoices=[{"lines": [line(code="q", amount="5.00"), line(code="q", amount="6.00")]}])
    assert differences({"invoices": [{"lines": [{"code": "q"}, {"amount": "5.00"}]}]}, actual) == []


def test_a_line_that_differs_is_shown_against_the_nearest():
    actual = world(invoices=[{"lines": [line(), line(code="q", amount="5.00")]}])
    wanted = {"invoices": [{"lines": [line(code="q", amount="5.50"), line()]}]}
    assert differences(wanted, actual) == [Failure("invoices[0].lines[0].amount", "5.50", "5.00")]


def test_none_is_what_is_not_there():
    assert differences({"subscriptions": {"s1": {"next_billing": "none"}}}) == []
    actual = world(invoices=[{"lines": [{"kind": "one_time", "amount": "1.00"}]}])
    assert differences({"invoices": [{"lines": [{"code": "none", "from": "none"}]}]}, actual) == []
    found = differences({"subscriptions": {"s1": {"next_billing": "2026-02-01"}}})
    assert found == [Failure("subscriptions.s1.next_billing", "2026-02-01", "none")]


def test_a_subscription_that_is_not_there_is_a_difference():
    assert differences({"subscriptions": {"s2": {}}}) == [Failure("subscriptions.s2", {}, "nothing")]


def test_one_amount_stands_for_the_only_currency():
    assert differences({"customers": {"acme": {"due": "0.00", "credit": "5.00"}}}) == []
    assert differences({"customers": {"acme": {"credit": {"USD": "5.00", "EUR": "0.00"}}}}) == []
    assert differences({"customers": {"acme": {"prepayment": {"EUR": "2.00", "USD": "1.00"}}}}) == []
    wrong = [{"credit": "0.00"}, {"prepayment": "1.00"}, {"due": {"EUR": "1.00"}}, {"credit": {"EUR": "5.00"}}]
    for balance in wrong:
        assert len(differences({"customers": {"acme": balance}})) == 1, balance
