"""What every verb takes: dry_run, idempotency_key, actor; and what is written down (behaviour 15)."""

import json

import pytest

from tests.builders import books, day, documents, dump, refusal

TRIED = ("billcore_audit_log", "billcore_idempotency")


def running():
    """A subscription, a trial, one on hold, one past due and a customer with nothing."""
    billing = books(customers=("acme", "bolt", "free"))
    billing.subscriptions.create("s1", "acme", "pro-m", components={"calls": "0"})
    billing.subscriptions.create("trial", "acme", "try")
    billing.subscriptions.create("held", "acme", "pro-m")
    billing.subscriptions.create("late", "bolt", "pro-w")
    billing.subscriptions.hold("held")
    billing.gateway("test").script(["decline:insufficient_funds"], default="approve")
    billing.run(day("01-08"))
    billing.subscriptions.create("ending", "acme", "pro-m")
    billing.subscriptions.cancel("ending", "period_end")
    return billing


WRITING = [
    ("customers", "create", ("new",), {}),
    ("customers", "update", ("acme",), {"name": "Acme"}),
    ("customers", "delete", ("free",), {}),
    ("payment_methods", "add", ("acme", "approve"), {}),
    ("payment_methods", "add", ("bolt", "approve"), {}),
    ("subscriptions", "create", ("s2", "acme", "pro-fee"), {"components": {"seats": "2"}, "coupons": ["TEN"]}),
    ("subscriptions", "create", ("s2", "acme", "try"), {}),
    ("subscriptions", "create", ("s2", "acme", "pro-m"), {"custom": {"amount": "1.00"}}),
    ("subscriptions", "create", ("s2", "acme", "pro-m"), {"starts_at": "2026-05-01"}),
    ("subscriptions", "activate", ("trial",), {}),
    ("subscriptions", "cancel", ("s1",), {"credit": "unused"}),
    ("subscriptions", "cancel", ("s1", "period_end"), {}),
    ("subscriptions", "uncancel", ("ending",), {}),
    ("subscriptions", "hold", ("s1",), {"unused": "credit"}),
    ("subscriptions", "resume", ("held",), {}),
    ("subscriptions", "retry", ("late",), {}),
    ("usage", "record", ("s1", "calls", "5"), {}),
    ("settings", "set", ("tax_rounding", "line"), {}),
    ("catalog", "apply", ({"coupons": [{"code": "NEW", "percent_off": "5"}]},), {}),
]
NAMES = [f"{noun}.{verb}-{n}" for n, (noun, verb, *_) in enumerate(WRITING)]


@pytest.mark.parametrize(("noun", "verb", "args", "given"), WRITING, ids=NAMES)
def test_a_dry_run_changes_nothing_at_all(noun, verb, args, given) -> None:
    billing = running()
    before, charges = dump(billing), billing.gateway("test").charges()
    preview = getattr(getattr(billing, noun), verb)(*args, **given, dry_run=True)
    assert dump(billing) == before
    assert billing.gateway("test").charges() == charges
    assert hasattr(preview, "value")


@pytest.mark.parametrize(("noun", "verb", "args", "given"), WRITING, ids=NAMES)
def test_a_replay_answers_the_same_and_does_nothing(noun, verb, args, given) -> None:
    billing = running()
    call = getattr(getattr(billing, noun), verb)
    first = call(*args, **given, idempotency_key="k1")
    before, charges = dump(billing), billing.gateway("test").charges()
    assert call(*args, **given, idempotency_key="k1") == first
    assert dump(billing) == before
    assert billing.gateway("test").charges() == charges


@pytest.mark.parametrize(("noun", "verb", "args", "given"), WRITING, ids=NAMES)
def test_every_call_is_written_to_the_audit_log(noun, verb, args, given) -> None:
    billing = running()
    before = dump(billing)["billcore_audit_log"]
    getattr(getattr(billing, noun), verb)(*args, **given, actor="ada")
    (row,) = [row for row in dump(billing)["billcore_audit_log"] if row not in before]
    assert "ada" in row and f"{noun}.{verb}" in row


def test_the_audit_log_has_the_parameters_as_they_were_given() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m", components={"seats": "2.0"}, actor="ada")
    (row,) = [row for row in dump(billing)["billcore_audit_log"] if "subscriptions.create" in row]
    parameters = json.loads(next(cell for cell in row if str(cell).startswith('{"')))
    assert (parameters["components"], parameters["reference"]) == ({"seats": "2"}, "s1")


def test_a_dry_run_shows_the_documents_that_would_be() -> None:
    billing = running()
    preview = billing.subscriptions.create("s2", "acme", "pro-fee", dry_run=True)
    assert (preview.value.state, [one.total for one in preview.invoices]) == ("active", [4000])
    assert [one.status for one in preview.payments] == ["succeeded"]
    preview = billing.subscriptions.cancel("s1", credit="unused", dry_run=True)
    assert (preview.value.state, [one.total for one in preview.credit_notes]) == ("canceled", [2323])


def test_a_dry_run_is_refused_like_the_command() -> None:
    billing = running()
    before = dump(billing)
    assert refusal(billing.subscriptions.resume, "s1", dry_run=True).code == "transition_not_allowed"
    assert refusal(billing.subscriptions.create, "s1", "acme", "pro-m", dry_run=True).code == "reference_taken"
    assert dump(billing) == before


def test_another_parameter_under_the_same_key_is_refused_naming_it() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m", idempotency_key="k1")
    before = dump(billing)
    for given, field in (({"quantity": "2"}, "quantity"), ({"coupons": ["TEN"]}, "coupons")):
        refused = refusal(billing.subscriptions.create, "s1", "acme", "pro-m", **given, idempotency_key="k1")
        assert (refused.code, refused.facts["field"]) == ("idempotency_conflict", field)
        assert field in refused.message
    assert dump(billing) == before


def test_equal_parameters_written_differently_are_the_same_call() -> None:
    billing = books()
    first = billing.subscriptions.create(
        "s1", "acme", "pro-m", quantity="2", ends_at="2026-06-01", idempotency_key="k1"
    )
    again = billing.subscriptions.create(
        "s1", "acme", price="pro-m", quantity=2, ends_at=day("06-01"), idempotency_key="k1"
    )
    assert again == first


def test_a_key_belongs_to_its_verb() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m", idempotency_key="k1")
    assert billing.subscriptions.cancel("s1", idempotency_key="k1").state == "canceled"
    assert billing.customers.create("new", idempotency_key="k1").reference == "new"


def test_a_decline_is_replayed_without_another_attempt() -> None:
    billing = books()
    billing.gateway("test").script(["decline:insufficient_funds"], default="approve")
    first = refusal(billing.subscriptions.create, "s1", "acme", "pro-m", idempotency_key="k1")
    again = refusal(billing.subscriptions.create, "s1", "acme", "pro-m", idempotency_key="k1")
    assert (again.code, again.message, again.facts) == (first.code, first.message, first.facts)
    assert len(billing.payments.list()) == 1


def test_a_refusal_is_not_stored_and_may_succeed_later() -> None:
    billing = books()
    assert refusal(billing.subscriptions.cancel, "s1", idempotency_key="k1").code == "not_found"
    billing.subscriptions.create("s1", "acme", "pro-m")
    assert billing.subscriptions.cancel("s1", idempotency_key="k1").state == "canceled"


def test_a_signup_in_doubt_is_looked_up_again_on_a_replay() -> None:
    billing = books()
    billing.gateway("test").script(["timeout_after_charge"], default="approve")
    first = billing.subscriptions.create("s1", "acme", "pro-m", idempotency_key="k1")
    assert first.state == "pending"
    billing.run(day("01-02"))
    again = billing.subscriptions.create("s1", "acme", "pro-m", idempotency_key="k1")
    assert again.id == first.id
    assert documents(billing) == [("paid", "01-01", 3000, [("product", 3000)])]


def test_a_key_holds_for_ninety_days() -> None:
    billing = books()
    billing.customers.create("one", idempotency_key="k1")
    billing.run(day("03-31"))
    assert billing.customers.create("one", idempotency_key="k1").reference == "one"
    billing.run(day("04-03"))
    assert billing.customers.create("two", idempotency_key="k1").reference == "two"
    assert billing.customers.create("two", idempotency_key="k1").reference == "two"


def test_a_dry_run_leaves_its_key_unused() -> None:
    billing = books()
    billing.customers.create("one", idempotency_key="k1", dry_run=True)
    assert billing.customers.create("two", idempotency_key="k1").reference == "two"


def test_reading_verbs_write_nothing() -> None:
    billing = running()
    before = dump(billing)
    billing.subscriptions.list()
    billing.customers.find("a")
    billing.catalog.export()
    billing.settings.list()
    assert dump(billing) == before


def test_a_state_that_there_is_not_is_refused_and_lists_nothing() -> None:
    """An empty list would say that nobody is in it."""
    refused = refusal(books().subscriptions.list, state="cancelled")
    assert refused.code == "invalid_value" and "canceled" in refused.remedy


def test_too_many_or_wrong_parameters_are_named() -> None:
    billing = books()
    assert refusal(billing.customers.get).code == "invalid_parameter"
    assert refusal(billing.customers.get, "acme", "x").code == "invalid_parameter"
    refused = refusal(billing.customers.create, "x", nmae="X")
    assert refused.code == "invalid_parameter" and "name" in refused.remedy


def seen(invoices):
    return sorted((one.purpose, one.status, one.total, one.paid, len(one.lines)) for one in invoices)


def test_a_dry_run_pays_what_would_be_collected_at_once() -> None:
    """A change has its invoice collected after its commit; what was owed before is there with its lines too."""
    billing = running()
    change = {"price": "pro-fee", "period": "reset", "proration": "full"}
    preview = billing.subscriptions.change("s1", **change, dry_run=True)
    assert [(one.status, one.captured) for one in preview.payments] == [("succeeded", 3000)]
    billing.gateway("test").script([], default="decline:do_not_honor")
    billing.run(day("02-02"))
    owed = len(billing.invoices.list())
    billing.gateway("test").script([], default="approve")
    preview = billing.subscriptions.retry("s1", dry_run=True)
    assert (preview.value.state, seen(preview.invoices)[0][1:4]) == ("active", ("paid", 3000, 3000))
    assert all(one.lines for one in preview.invoices)
    assert billing.subscriptions.get("s1").state == "past_due" and len(billing.invoices.list()) == owed


def test_a_dry_run_of_a_return_collects_the_debt_first() -> None:
    billing = running()
    billing.gateway("test").script([], default="decline:do_not_honor")
    billing.run(day("02-02"))
    billing.subscriptions.cancel("s1")
    billing.gateway("test").script([], default="approve")
    preview = billing.subscriptions.reactivate("s1", dry_run=True)
    billing.subscriptions.reactivate("s1")
    assert len(preview.invoices) == 2
    assert set(seen(preview.invoices)) <= set(seen(billing.invoices.list()))
