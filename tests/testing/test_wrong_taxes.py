"""A wrong tax engine fails exactly the checks of the rules it breaks, and is told which rule and what to do."""

from decimal import Decimal
from types import SimpleNamespace

import pytest
from attrs import evolve, frozen

from billcore import hookimpl
from billcore.domain.catalog import TaxRow
from billcore.domain.tax import RateTable
from billcore.plugins.rates import Rates
from billcore.plugins.registry import Registry
from billcore.plugins.tax import Buyer, TaxEngineSpec
from billcore.testing import TaxConformance, tax_rules
from tests.project import ROOT
from tests.testing import wrong_taxes as wrong

pytest_plugins = "pytester"

THREADS = "test_threads_get_their_own_answers"
FITS = "test_an_answer_fits_its_question"
EVERY = (
    FITS,
    "test_a_rate_gives_what_it_says",
    "test_the_same_question_has_the_same_answer",
    "test_each_answer_stands_in_the_place_of_its_line",
    "test_inclusive_and_exclusive_prices_agree",
    "test_a_rebate_is_the_exact_negative",
    "test_what_is_not_taxable_says_so",
    THREADS,
    "test_objects_share_nothing",
)
NOTHING = "test_nothing_is_taxed_with_nothing"

# mistake -> the checks that fail -> the rules they name
EXPECTED = {
    wrong.Floats: dict.fromkeys((*EVERY, NOTHING), tax_rules.ANSWER),
    wrong.LosesTheCounty: dict.fromkeys(EVERY, tax_rules.ANSWER),
    wrong.LosesALine: dict.fromkeys(
        (*(one for one in EVERY if "inclusive" not in one and "not_taxable" not in one), NOTHING), tax_rules.ANSWER
    ),
    wrong.TaxesByTheDocument: {"test_the_same_question_has_the_same_answer": tax_rules.SAME},
    wrong.SortsTheLines: {"test_each_answer_stands_in_the_place_of_its_line": tax_rules.ORDER},
    wrong.CountsInDollars: {"test_a_rate_gives_what_it_says": tax_rules.PERCENT},
    wrong.TaxOnTop: {
        "test_a_rate_gives_what_it_says": tax_rules.PERCENT,
        "test_inclusive_and_exclusive_prices_agree": tax_rules.INCLUSIVE,
    },
    wrong.RoundsDown: {"test_a_rebate_is_the_exact_negative": tax_rules.NEGATIVE},
    wrong.FixedFee: {NOTHING: tax_rules.ANSWER},
    wrong.TaxesTheExempt: {"test_an_exempt_buyer_is_not_taxed_and_every_line_says_so": tax_rules.EXEMPT},
    wrong.ExemptAfterTheRest: {"test_an_exempt_buyer_is_not_taxed_and_every_line_says_so": tax_rules.EXEMPT},
    wrong.TaxesEverything: {"test_what_is_not_taxable_says_so": tax_rules.NOT_TAXABLE},
    wrong.SilentWhereNothingIsCollected: {
        "test_where_no_tax_is_collected_every_line_says_so": tax_rules.NOT_COLLECTING
    },
    wrong.ReverseChargeUntold: {"test_where_the_buyer_owes_the_tax_every_line_says_so": tax_rules.REVERSE_CHARGE},
    wrong.GuessesThePostcode: {"test_what_cannot_be_taxed_as_it_is_is_refused": tax_rules.REFUSED},
    wrong.RefusesWhenDown: {"test_an_engine_that_is_down_says_so": tax_rules.DOWN},
    wrong.TaxFreeWhenDown: {"test_an_engine_that_is_down_says_so": tax_rules.DOWN},
    wrong.Asks: {"test_it_makes_no_call": tax_rules.LOCAL},
    wrong.SecretInRepr: {"test_secrets_are_not_shown": tax_rules.SECRET},
    wrong.SecretInErrors: {"test_what_cannot_be_taxed_as_it_is_is_refused": tax_rules.SECRET},
    wrong.RequestOnTheObject: {THREADS: tax_rules.THREADS},
    wrong.SharedState: {"test_objects_share_nothing": tax_rules.OWN_STATE},
}


class TestRight(wrong.suite(wrong.Right)):
    """What is wrong with none of them passes everything."""


@frozen
class NoConfig:
    pass


class TestTheBuiltInEngine(TaxConformance):
    @pytest.fixture
    def registry(self):
        rows = [TaxRow("DE", "", "", "*", "VAT", Decimal(19)), TaxRow("DE", "", "", "book", "VAT", Decimal(7))]
        spec = TaxEngineSpec("table", NoConfig, lambda _config: Rates(RateTable(rows)))
        return Registry({"table": offering(spec)}, installed=False)

    @pytest.fixture
    def engine_name(self):
        return "table"

    @pytest.fixture
    def config(self):
        return {}

    @pytest.fixture
    def sale(self):
        lines = (*wrong.SALE.lines, evolve(wrong.SALE.lines[0], code="book"))
        return evolve(wrong.SALE, buyer=Buyer("DE"), lines=lines)

    @pytest.fixture
    def untaxed_sale(self):
        return evolve(wrong.SALE, buyer=Buyer("US"))


def offering(*specs):
    @hookimpl
    def register_tax_engines():
        return specs

    return SimpleNamespace(register_tax_engines=register_tax_engines)


@pytest.mark.parametrize("mistake", EXPECTED, ids=lambda one: one.__name__)
def test_a_wrong_engine_fails_the_checks_of_its_rules_and_learns_why(pytester, mistake):
    pytester.makepyfile(
        f"import sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        f"from tests.testing import wrong_taxes\n"
        f"TestWrong = wrong_taxes.suite(wrong_taxes.{mistake.__name__})\n"
    )
    _, _, failed = pytester.inline_run("-q", "-p", "no:cacheprovider").listoutcomes()
    said = {report.nodeid.rpartition("::")[2].partition("[")[0]: report.longreprtext for report in failed}
    assert sorted(said) == sorted(EXPECTED[mistake])
    for check, rule in EXPECTED[mistake].items():
        assert f"AssertionError: {rule.text}" in said[check], check
        assert f"do:   {rule.do}" in said[check]
        assert "more: docs/howto/write-a-tax-engine.md" in said[check]


def test_a_missing_fixture_is_asked_for_with_an_instruction(pytester):
    pytester.makepyfile("from billcore.testing import TaxConformance\nclass TestEmpty(TaxConformance): pass\n")
    _, _, [report] = pytester.inline_run("-q", "-p", "no:cacheprovider", "-k", "is_found_by_its_name").listoutcomes()
    assert "TaxConformance needs the fixture `engine_name`" in report.longreprtext
    assert "def engine_name(self): ..." in report.longreprtext
