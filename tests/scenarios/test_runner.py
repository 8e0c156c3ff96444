"""Stories run through the real engine on books of their own; what goes otherwise is told step by step."""

import subprocess
import sys

import psycopg
import pytest

from billcore.errors import InvalidValue
from billcore.scenario.checking import check_paths
from billcore.scenario.runner import _billing, _Play, check_story, play_story
from billcore.store.temporary import TemporaryDatabases
from tests import databases
from tests.scenarios.stories import CUSTOMER, PLAN, SIGNUP, read, table, written

pytestmark = pytest.mark.usefixtures("stores")


def verdict(folder, **changes):
    return check_story(read(folder, **changes), databases.next_story())


def failed(folder, **changes):
    """Path, expected and actual of the only difference."""
    found = verdict(folder, **changes)
    assert found.error is None
    [failure] = found.failures
    return failure.path, failure.expected, failure.actual


def test_the_clock_goes_on_to_until_and_what_is_due_then_is_done(tmp_path):
    """`until` is included: the renewal of that very instant is billed."""
    wanted = {"invoices": [{"issued": "2026-01-01"}, {"issued": "2026-02-01"}]}
    assert verdict(tmp_path, until="2026-02-01", expect=wanted).ok
    assert not verdict(tmp_path, until="2026-01-31T23:59:59Z", expect=wanted).ok


def test_a_command_comes_after_the_work_of_its_instant(tmp_path):
    cancel = {"at": "2026-02-01", "do": "subscriptions.cancel", "subscription": "s1"}
    wanted = {"invoices": [{}, {"issued": "2026-02-01"}], "subscriptions": {"s1": {"state": "canceled"}}}
    assert verdict(tmp_path, steps=[CUSTOMER, SIGNUP, cancel], expect=wanted).ok


def test_a_difference_is_told_with_its_path(tmp_path):
    assert failed(tmp_path, expect={"invoices": [{"total": "11.00"}]}) == ("invoices[0].total", "11.00", "10.00")


def test_an_expectation_between_steps_is_checked_at_its_instant(tmp_path):
    step = {"at": "2026-01-15", "do": "expect", "subscriptions": {"s1": {"state": "canceled"}}}
    assert failed(tmp_path, steps=[CUSTOMER, SIGNUP, step]) == ("steps[2].subscriptions.s1.state", "canceled", "active")


def test_a_step_that_is_refused_ends_the_story(tmp_path):
    path, expected, actual = failed(tmp_path, steps=[SIGNUP])
    assert (path, expected) == ("steps[0] subscriptions.create", "done")
    assert actual.startswith("[not_found]")


def test_a_refusal_that_is_expected_is_met_by_its_code(tmp_path):
    again = {**CUSTOMER, "fails": "reference_taken"}
    assert verdict(tmp_path, steps=[CUSTOMER, again]).ok
    other = {**CUSTOMER, "fails": "not_found"}
    assert failed(tmp_path, steps=[CUSTOMER, other])[:2] == ("steps[1].fails", "not_found")
    assert failed(tmp_path, steps=[again]) == ("steps[0].fails", "reference_taken", "done")


def test_every_customer_gets_the_storys_payment_method(tmp_path):
    wanted = {"payments": [{"status": "succeeded"}]}
    assert verdict(tmp_path, expect=wanted).ok
    without = [CUSTOMER, {**SIGNUP, "fails": "payment_declined"}]
    assert verdict(tmp_path, payment_method="none", steps=without, expect={"payments": []}).ok


def test_a_replayed_customer_keeps_his_one_payment_method(tmp_path):
    keyed = {**CUSTOMER, "idempotency_key": "k1"}
    gone = {"do": "payment_methods.remove", "customer": "acme", "token": "approve"}
    signup = {**SIGNUP, "fails": "payment_declined"}
    assert verdict(tmp_path, steps=[keyed, keyed, gone, signup]).ok


def test_a_token_that_nobody_added_is_not_found(tmp_path):
    step = {"do": "payment_methods.set_default", "customer": "acme", "token": "decline", "fails": "not_found"}
    assert verdict(tmp_path, steps=[CUSTOMER, step]).ok


def test_the_gateway_answers_as_the_script_says(tmp_path):
    script = {"do": "gateway.script", "customer": "acme", "outcomes": ["decline:do_not_honor"], "default": "pending"}
    refused = {**SIGNUP, "fails": "payment_declined"}
    steps = [CUSTOMER, script, refused, {**SIGNUP, "reference": "s2"}]
    assert verdict(tmp_path, steps=steps, expect={"payments": [{"status": "failed"}, {"status": "pending"}]}).ok


@pytest.mark.parametrize("outcome", ["approve", "succeeded"])
def test_a_settled_attempt_is_known_at_once(tmp_path, outcome):
    settle = {"at": "2026-01-03", "do": "gateway.settle", "payment": "acme/pay/1", "outcome": outcome}
    seen = {"do": "expect", "invoices": [{"status": "paid", "issued": "2026-01-01"}]}
    assert verdict(tmp_path, payment_method="pending", steps=[CUSTOMER, SIGNUP, settle, seen]).ok


def test_quotes_are_rounded_where_the_expectation_has_the_currencys_decimals(tmp_path):
    tier = {"code": "calls", "name": "Calls", "kind": "metered"}
    tier["prices"] = [{"code": "calls-p", "scheme": "per_unit", "unit_amount": "0.0015"}]
    quotes = [
        {"price": "calls-p", "quantity": "1", "amount": "0.00"},
        {"price": "calls-p", "quantity": "1", "amount": "0.0015"},
        {
            "price": "plan-m",
            "amount": "5.00",
            "from": "2026-01-16",
            "to": "2026-01-31",
            "period": ["2026-01-01", "2026-01-31"],
        },
    ]
    catalog = {**PLAN, "components": [tier]}
    assert verdict(tmp_path, catalog=catalog, expect={"quotes": quotes}).ok
    quotes[1]["amount"] = "0.0016"
    assert failed(tmp_path, catalog=catalog, expect={"quotes": quotes}) == ("quotes[1].amount", "0.0016", "0.0015")
    assert failed(tmp_path, expect={"quotes": [{"price": "gone", "amount": "1"}]})[2].startswith("[not_found]")


def test_a_story_that_leaves_wrong_books_or_parked_work_is_never_ok(tmp_path):
    story = read(tmp_path)
    with _billing(story, databases.fresh()) as billing:
        play = _Play(story, billing)
        play.run()
        assert play.unsound() == []
        with billing.database.transaction() as tx:
            tx.execute("UPDATE billcore_invoices SET paid = 1, status = 'open'")
            tx.execute("UPDATE billcore_subscriptions SET parked_at = '2026-01-01T00:00:00Z', parked_reason = 'why'")
        parked, *wrong = play.unsound()
    assert (parked.path, parked.actual) == ("subscriptions.s1", "why")
    assert {failure.path for failure in wrong} == {"verify", "explain invoice 1"}


def test_the_world_is_printed_in_the_shape_of_an_expectation(tmp_path):
    """What a story prints is a story's expectation: with it the same story comes out."""
    world = play_story(read(tmp_path, until="2026-03-01"), databases.fresh())
    assert verdict(tmp_path, until="2026-03-01", expect=world).ok
    assert world["customers"]["acme"] == {
        "due": "0.00", "credit": "0.00", "service_credit": "0.00", "prepayment": "0.00", "lifetime_value": "30.00",
    }  # fmt: skip


def test_a_story_that_stops_half_way_prints_no_world(tmp_path):
    with pytest.raises(InvalidValue, match="steps\\[0\\]"):
        play_story(read(tmp_path, steps=[SIGNUP]), databases.fresh())


def test_the_same_story_gives_the_same_world(tmp_path):
    story = read(tmp_path, until="2026-06-01")
    assert play_story(story, databases.fresh()) == play_story(story, databases.fresh())


@pytest.mark.sqlite_only("a file keeps a story, a server never does")
def test_a_story_can_be_left_in_a_database(tmp_path):
    url = f"sqlite:///{tmp_path / 'books.db'}"
    path = written(tmp_path, table(), table())
    [report] = check_paths([path], database=url)
    assert report.ok == 2
    with pytest.raises(InvalidValue, match="exists already"):
        list(check_paths([path], database=url))
    with pytest.raises(InvalidValue, match="several processes"):
        list(check_paths([path], database=url, jobs=2))


@pytest.mark.postgresql_only("a server has other databases beside the one it names")
@pytest.mark.parametrize("jobs", [1, 2])
def test_on_a_server_stories_run_beside_the_named_database(tmp_path, stores, jobs):
    """Nobody's tables are touched or even read, and nothing is left of the stories."""
    named = stores.blank("named")
    before = listed(named)
    written(tmp_path, table(), table(expect={"invoices": []}), name="a.json")
    written(tmp_path, table(), name="b.json")
    first, second = check_paths([tmp_path], database=named, jobs=jobs)
    assert (first.ok, first.failed, second.ok) == (1, 1, 1)
    assert listed(named) == before


@pytest.mark.postgresql_only("a server has other databases beside the one it names")
def test_databases_of_a_process_that_was_killed_are_dropped_by_the_next(stores):
    named = stores.blank("named")
    before = listed(named)
    left = f"import os; from billcore.store.temporary import TemporaryDatabases as T; T({named!r}).make(); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", left], check=False).returncode == 9
    assert len(listed(named)) == len(before) + 1
    with TemporaryDatabases(named):
        assert listed(named) == before


def listed(url):
    """The databases that were made beside the named one, and its tables."""
    with psycopg.connect(url) as connection:
        return [
            *connection.execute(
                "SELECT t.datname FROM pg_database t JOIN pg_database n ON n.datname = current_database() "
                "WHERE starts_with(t.datname, 'billcore_temporary_' || n.oid || '_') ORDER BY 1"
            ),
            *connection.execute("SELECT relname FROM pg_class WHERE relname LIKE 'billcore_%' ORDER BY 1"),
        ]


def test_an_invalid_file_does_not_hide_the_others(tmp_path):
    written(tmp_path, table(title=None), name="a.json")
    written(tmp_path, table(), name="b.json")
    first, second = check_paths([tmp_path])
    assert first.invalid
    assert first.failed == 1
    assert second.ok == 1
