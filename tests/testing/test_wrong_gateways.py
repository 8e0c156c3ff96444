"""A wrong gateway fails exactly the checks of the rules it breaks, and is told which rule and what to do.

Mistakes that have nothing to do with each other share a gateway, so that the suite runs a dozen times and not fifty.
"""

from importlib import import_module

import pytest

from billcore.plugins.gateway import Lookup, Money
from billcore.plugins.registry import Registry
from billcore.testing import GatewayConformance, rules
from billcore.testing.asking import asked
from billcore.testing.building import Building
from billcore_gateway_test import ScriptedGateway
from tests.project import ROOT
from tests.share import share
from tests.testing import wrong

pytest_plugins = "pytester"

CHARGED_ONCE = "test_after_a_lost_answer_there_is_one_charge"

# mistake -> the checks that fail -> the rules they name
EXPECTED = {
    wrong.FreshKeyPerCall: {
        "test_the_same_key_is_the_same_charge": rules.SAME_KEY,
        "test_a_key_with_another_amount_is_refused": rules.KEY_OF_ONE_REQUEST,
        "test_one_key_from_many_threads_is_one_charge": rules.SAME_KEY,
        CHARGED_ONCE: rules.ONE_CHARGE,
    },
    wrong.EveryCurrencyHasCents: {"test_amounts_are_minor_units_of_every_currency": rules.MINOR_UNITS},
    wrong.MergesEqualCharges: {
        "test_two_attempts_are_two_charges": rules.OWN_CHARGE,
        "test_a_key_with_another_amount_is_refused": rules.KEY_OF_ONE_REQUEST,
        "test_an_event_keeps_its_key": rules.WEBHOOK_KEY,
    },
    wrong.DeclineRaised: {
        "test_a_decline_is_a_value": rules.DECLINE_IS_A_VALUE,
        "test_a_declined_charge_took_nothing_and_is_told_so": rules.DECLINE_IS_A_VALUE,
        "test_a_method_nobody_knows_is_declined_hard": rules.UNKNOWN_METHOD,
        "test_a_forgotten_method_is_gone": rules.DETACHED,
        "test_a_method_is_charged_for_its_owner_alone": rules.VAULT_OWNERS,
        "test_an_unverified_bank_account_takes_no_money": rules.VERIFIED,
    },
    wrong.DeclineOfWrongKind: {"test_a_decline_is_a_value": rules.DECLINE_CODE},
    wrong.UnknownMethodMisconfigured: {"test_a_method_nobody_knows_is_declined_hard": rules.UNKNOWN_METHOD},
    wrong.PendingApproved: {
        "test_what_is_under_way_is_pending": rules.PENDING,
        "test_a_capture_takes_what_is_authorized_or_a_part": rules.CAPTURE,
    },
    wrong.DeclinesAndTakes: {"test_a_declined_charge_took_nothing_and_is_told_so": rules.DECLINE_TAKES_NOTHING},
    wrong.ActionPending: {"test_what_the_customer_has_to_confirm_is_a_link": rules.ACTION},
    wrong.UnseenStatusApproved: {"test_a_status_never_seen_is_pending": rules.UNSEEN_STATUS},
    wrong.PlainDictionary: {
        "test_what_the_customer_has_to_confirm_is_a_link": rules.ANSWER_TYPES,
        "test_a_canceled_attempt_cannot_succeed_any_more": rules.ANSWER_TYPES,
    },
    wrong.LookupIgnoresTheId: {
        "test_an_attempt_that_never_arrived_is_not_found": rules.LOOKUP_TELLS_APART,
        "test_a_lookup_tells_attempts_apart": rules.LOOKUP_TELLS_APART,
        "test_a_lookup_changes_nothing": rules.LOOKUP_CHANGES_NOTHING,
        "test_a_refund_is_found_and_its_charge_stays": rules.REFUND_FOUND,
        "test_objects_share_nothing": rules.OWN_STATE,
        "test_threads_get_their_own_answers": rules.THREADS,
    },
    wrong.LookupRemembers: {"test_another_object_finds_the_attempt": rules.LOOKUP_ACROSS_PROCESSES},
    wrong.LookupSwallowsErrors: {"test_a_lookup_that_could_not_ask_says_so": rules.LOOKUP_FAILS_ALOUD},
    wrong.LookupCharges: {
        "test_a_lookup_changes_nothing": rules.LOOKUP_CHANGES_NOTHING,
        "test_an_attempt_that_never_arrived_is_not_found": rules.LOOKUP_TELLS_APART,
        CHARGED_ONCE: rules.LOOKUP_FINDS_NOTHING,
        "test_objects_share_nothing": rules.OWN_STATE,
    },
    wrong.LookupInOtherWords: {
        "test_a_lookup_agrees_with_the_charge": rules.LOOKUP_AGREES,
        "test_a_refund_is_found_and_its_charge_stays": rules.REFUND_FOUND,
    },
    wrong.LookupNeedsTheirId: {
        "test_a_lookup_agrees_with_the_charge": rules.LOOKUP_BY_OUR_ID,
        CHARGED_ONCE: rules.LOOKUP_BY_OUR_ID,
        "test_a_lookup_tells_attempts_apart": rules.LOOKUP_TELLS_APART,
        "test_a_lookup_changes_nothing": rules.LOOKUP_CHANGES_NOTHING,
        "test_a_lookup_that_could_not_ask_says_so": rules.LOOKUP_FAILS_ALOUD,
        "test_another_object_finds_the_attempt": rules.LOOKUP_ACROSS_PROCESSES,
        "test_threads_get_their_own_answers": rules.THREADS,
        "test_what_is_under_way_is_pending": rules.PENDING,
        "test_a_canceled_attempt_cannot_succeed_any_more": rules.CANCEL,
    },
    wrong.ServerErrorDeclines: {CHARGED_ONCE: rules.UNKNOWN},
    wrong.TimeoutNotSent: {CHARGED_ONCE: rules.UNKNOWN},
    wrong.RateLimitUnknown: {"test_what_was_surely_not_carried_out_is_not_sent": rules.NOT_SENT},
    wrong.WrongKeyDeclines: {"test_refused_credentials_are_misconfigured": rules.MISCONFIGURED},
    wrong.RefundsMoreThanCaptured: {"test_more_than_is_left_is_declined": rules.REFUND_TOO_MUCH},
    wrong.FreshKeyPerRefund: {
        "test_the_same_key_is_the_same_refund": rules.REFUND_ONCE,
        "test_after_a_lost_answer_there_is_one_refund": rules.REFUND_ONCE,
    },
    wrong.RefundedChargeDeclined: {"test_a_refund_is_found_and_its_charge_stays": rules.REFUND_FOUND},
    wrong.VoidsOnce: {"test_a_void_gives_all_back_or_is_declined": rules.VOID},
    wrong.CancelLies: {"test_cancelling_too_late_or_what_never_was_tells_the_truth": rules.CANCEL},
    wrong.CancelDoesNothing: {"test_a_canceled_attempt_cannot_succeed_any_more": rules.CANCEL},
    wrong.CapturesMoreThanAuthorized: {"test_a_capture_takes_what_is_authorized_or_a_part": rules.CAPTURE},
    wrong.VaultsAnew: {
        "test_a_method_is_kept_once": rules.VAULT_ONCE,
        "test_a_method_is_kept_once_after_a_lost_answer": rules.VAULT_ONCE,
    },
    wrong.OneCustomerForAll: {"test_a_method_is_charged_for_its_owner_alone": rules.VAULT_OWNERS},
    wrong.ForgetsNothing: {"test_a_forgotten_method_is_gone": rules.DETACHED},
    wrong.KeepsEverything: {"test_a_refused_token_is_not_kept": rules.VAULT_REFUSES},
    wrong.DescribesNothing: {"test_a_kept_method_is_described_as_it_was_kept": rules.DESCRIBED},
    wrong.ChargesUnverified: {"test_an_unverified_bank_account_takes_no_money": rules.VERIFIED},
    wrong.HostsNowhere: {"test_a_hosted_page_is_a_link": rules.HOSTED},
    wrong.UpdatesNothing: {"test_methods_that_changed_are_listed": rules.UPDATED},
    wrong.VerifiesAnyAnswer: {"test_a_bank_account_is_charged_once_it_is_verified": rules.VERIFIED},
    wrong.TellsTheCardNumber: {"test_a_kept_method_is_described_as_it_was_kept": rules.VAULTED},
    wrong.WebhookUnsigned: {
        "test_what_is_not_signed_is_rejected": rules.WEBHOOK_SIGNATURE,
        "test_garbage_is_rejected": rules.WEBHOOK_SIGNATURE,
        "test_an_old_signature_is_rejected": rules.WEBHOOK_AGE,
        "test_secrets_stay_out_of_rejected_webhooks": rules.WEBHOOK_SIGNATURE,
    },
    wrong.WebhookNamesNothing: {"test_a_signed_delivery_names_its_attempt": rules.WEBHOOK_READ},
    wrong.WebhookGenerator: dict.fromkeys(
        [
            "test_events_are_a_list",
            "test_a_signed_delivery_names_its_attempt",
            "test_what_is_not_signed_is_rejected",
            "test_garbage_is_rejected",
            "test_an_old_signature_is_rejected",
            "test_an_event_of_another_kind_is_no_error",
            "test_an_event_keeps_its_key",
            "test_reading_a_delivery_makes_no_call",
            "test_the_secret_before_is_accepted_while_it_is_rotated",
            "test_secrets_stay_out_of_rejected_webhooks",
        ],
        rules.WEBHOOK_LIST,
    ),
    wrong.WebhookOfAnyAge: {"test_an_old_signature_is_rejected": rules.WEBHOOK_AGE},
    wrong.WebhookOfKnownKindsOnly: {"test_an_event_of_another_kind_is_no_error": rules.WEBHOOK_OTHER},
    wrong.WebhookKeyOfTheMoment: {"test_an_event_keeps_its_key": rules.WEBHOOK_KEY},
    wrong.WebhookAsks: {"test_reading_a_delivery_makes_no_call": rules.WEBHOOK_QUIET},
    wrong.WebhookForgetsTheOldSecret: {
        "test_the_secret_before_is_accepted_while_it_is_rotated": rules.WEBHOOK_ROTATION
    },
    wrong.SecretInRepr: {"test_secrets_are_not_shown": rules.SECRET},
    wrong.SecretInErrors: {"test_secrets_stay_out_of_errors_and_logs": rules.SECRET},
    wrong.SecretInLogs: {
        "test_secrets_stay_out_of_errors_and_logs": rules.SECRET,
        "test_secrets_stay_out_of_what_is_logged_when_all_goes_well": rules.SECRET,
    },
    wrong.CallsWhenBuilt: {"test_building_it_makes_no_call": rules.QUIET_BUILDING},
    wrong.RequestOnTheObject: {"test_threads_get_their_own_answers": rules.THREADS},
    wrong.SharedState: {"test_objects_share_nothing": rules.OWN_STATE},
}

TOGETHER = [
    (
        wrong.FreshKeyPerCall,
        wrong.RefundsMoreThanCaptured,
        wrong.VaultsAnew,
        wrong.WebhookOfAnyAge,
        wrong.CallsWhenBuilt,
    ),
    (
        wrong.EveryCurrencyHasCents,
        wrong.LookupSwallowsErrors,
        wrong.FreshKeyPerRefund,
        wrong.OneCustomerForAll,
        wrong.WebhookGenerator,
    ),
    (
        wrong.DeclineOfWrongKind,
        wrong.PendingApproved,
        wrong.CancelLies,
        wrong.ForgetsNothing,
        wrong.WebhookOfKnownKindsOnly,
        wrong.SecretInRepr,
    ),
    (
        wrong.UnknownMethodMisconfigured,
        wrong.UnseenStatusApproved,
        wrong.RefundedChargeDeclined,
        wrong.KeepsEverything,
        wrong.WebhookKeyOfTheMoment,
        wrong.ActionPending,
        wrong.HostsNowhere,
    ),
    (
        wrong.ServerErrorDeclines,
        wrong.CapturesMoreThanAuthorized,
        wrong.VerifiesAnyAnswer,
        wrong.WebhookAsks,
        wrong.SecretInErrors,
        wrong.DeclinesAndTakes,
        wrong.UpdatesNothing,
    ),
    (
        wrong.TimeoutNotSent,
        wrong.PlainDictionary,
        wrong.TellsTheCardNumber,
        wrong.WebhookForgetsTheOldSecret,
        wrong.SecretInLogs,
    ),
    (
        wrong.RateLimitUnknown,
        wrong.MergesEqualCharges,
        wrong.CancelDoesNothing,
        wrong.SharedState,
        wrong.DescribesNothing,
        wrong.VoidsOnce,
    ),
    (
        wrong.WrongKeyDeclines,
        wrong.LookupRemembers,
        wrong.RequestOnTheObject,
        wrong.LookupInOtherWords,
        wrong.WebhookNamesNothing,
        wrong.ChargesUnverified,
    ),
    (wrong.DeclineRaised, wrong.LookupCharges),
    (wrong.LookupIgnoresTheId, wrong.WebhookUnsigned),
    (wrong.LookupNeedsTheirId,),
]


def failures(pytester, *mistakes):
    """The checks that a gateway with these mistakes fails, each with what they say."""
    names = ", ".join(f"wrong.{mistake.__name__}" for mistake in mistakes)
    pytester.makepyfile(
        f"import sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        f"from tests.testing import wrong\n"
        f"TestWrong = wrong.suite(type('Wrong', ({names},), {{}}))\n"
    )
    _, _, failed = pytester.inline_run("-q", "-p", "no:cacheprovider").listoutcomes()
    said = {}
    for report in failed:
        check = report.nodeid.rpartition("::")[2].partition("[")[0]
        said.setdefault(check, []).append(report.longreprtext)
    return said


@pytest.mark.parametrize(
    "mistakes", share(TOGETHER, 2), ids=lambda mistakes: "+".join(one.__name__ for one in mistakes)
)
def test_a_wrong_gateway_fails_the_checks_of_its_rules_and_learns_why(pytester, mistakes):
    said = failures(pytester, *mistakes)
    expected = {check: rule for mistake in mistakes for check, rule in EXPECTED[mistake].items()}
    assert sorted(said) == sorted(expected)
    for check, rule in expected.items():
        for text in said[check]:
            assert f"AssertionError: {rule.text}" in text, check
            assert "seen: " in text
            assert f"do:   {rule.do}" in text


def test_every_mistake_is_tried():
    assert sorted(one.__name__ for group in TOGETHER for one in group) == sorted(one.__name__ for one in EXPECTED)


@pytest.mark.parametrize(
    ("mistake", "allowed"),
    [
        (
            wrong.AmountHalved,
            {rules.APPROVED, rules.PROVIDER_TOOK, rules.MINOR_UNITS, rules.THREADS, rules.SLOW},
        ),
        (
            wrong.AmountHalvedInSecret,
            {
                rules.PROVIDER_TOOK,
                rules.MINOR_UNITS,
                rules.REFUND_AMOUNT,
                rules.REFUND_ONCE,
                rules.CAPTURE,
                rules.CANCEL,
            },
        ),
    ],
)
def test_a_mistake_under_everything_is_named_everywhere(pytester, mistake, allowed):
    """Half of each amount: nearly every check charges, and says that it was the amount."""
    said = failures(pytester, mistake)
    assert {"test_the_provider_took_what_was_asked", CHARGED_ONCE} <= set(said)
    strange = [
        (check, text)
        for check, texts in said.items()
        for text in texts
        if not any(f"AssertionError: {rule.text}" in text for rule in allowed)
    ]
    assert strange == []


def test_a_missing_fixture_is_asked_for_with_an_instruction(pytester):
    pytester.makepyfile(
        "from billcore.testing import GatewayConformance\n"
        "class TestEmpty(GatewayConformance):\n"
        "    test_it_is_found_by_its_name = GatewayConformance.test_it_is_found_by_its_name\n"
    )
    _, _, [report] = pytester.inline_run("-q", "-p", "no:cacheprovider", "-k", "is_found_by_its_name").listoutcomes()
    assert "GatewayConformance needs the fixture `gateway_name`" in report.longreprtext
    assert "def gateway_name(self): ..." in report.longreprtext


# -- what the registry and the core refuse by themselves, and the suite tells all the same ------------------------


def taught(rule, check, *arguments):
    with pytest.raises(AssertionError) as broken:
        check(*arguments)
    assert str(broken.value).startswith(rule.text)
    assert rule.do in str(broken.value)


def test_a_gateway_that_is_not_registered_is_told_how_to(tmp_path):
    nothing = Registry({}, installed=False)
    taught(rules.REGISTERED, Building().test_it_is_found_by_its_name, nothing, "acme")
    broken = Registry({"acme": wrong.plugin(wrong.FreshKeyPerCall), "acme2": object()}, installed=False)
    Building().test_it_is_found_by_its_name(broken, "wrong")


def test_a_loose_configuration_is_told():
    check = Building().test_an_unknown_configuration_key_is_refused_and_named
    taught(rules.STRICT_CONFIGURATION, check, lambda config: ScriptedGateway(), {})


def test_a_verb_that_is_declared_and_missing_is_told():
    class Lacking(ScriptedGateway):
        refund = None

    taught(rules.DECLARED, Building().test_it_has_what_it_declares, Lacking())


def test_a_package_without_types_is_told(tmp_path, monkeypatch):
    package = tmp_path / "untyped_acme"
    package.mkdir()
    (package / "__init__.py").write_text("class Acme: capabilities = frozenset()\n")
    monkeypatch.syspath_prepend(tmp_path)
    gateway = import_module("untyped_acme").Acme()
    taught(rules.TYPED, Building().test_its_package_has_types, gateway)
    (package / "py.typed").touch()
    Building().test_its_package_has_types(gateway)


def test_an_exception_of_the_gateways_own_is_told():
    class Failing(ScriptedGateway):
        def lookup(self, request):
            raise KeyError("charges")

    taught(rules.THREE_ERRORS, asked, Failing(), Lookup("pay_1", Money(100, "USD")))


def test_every_rule_can_be_broken():
    """A rule whose check cannot fail teaches nothing."""
    elsewhere = {"REGISTERED", "STRICT_CONFIGURATION", "DECLARED", "TYPED", "THREE_ERRORS"}
    of_amounts = {"APPROVED", "PROVIDER_TOOK", "SLOW", "REFUND_AMOUNT"}
    of_the_core = {"UNDECLARED"}
    known = {rule for checks in EXPECTED.values() for rule in checks.values()}
    names = {name for name, rule in vars(rules).items() if isinstance(rule, rules.Rule) and rule not in known}
    assert names == elsewhere | of_amounts | of_the_core


def test_every_check_says_why():
    checks = [one for base in GatewayConformance.__mro__ for name, one in vars(base).items() if name[:5] == "test_"]
    assert len(checks) >= 50
    assert [check.__name__ for check in checks if not check.__doc__] == []
