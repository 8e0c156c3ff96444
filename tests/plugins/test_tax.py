"""Tax engines: found and built like gateways, asked with one value, believed only as far as their answers fit."""

from datetime import date
from decimal import Decimal

import pytest
from attrs import evolve, frozen
from hypothesis import given
from hypothesis import strategies as st

from billcore import hookimpl
from billcore.domain.catalog import TaxRow
from billcore.domain.tax import Place, RateTable, TaxFacts
from billcore.errors import BillcoreError, PluginError
from billcore.plugins.config import Secret
from billcore.plugins.configuration import read_tax_engines
from billcore.plugins.opened import TaxEngines
from billcore.plugins.quoting import Quoted, quote
from billcore.plugins.rates import Rates
from billcore.plugins.registry import Registry
from billcore.plugins.tax import (
    AppliedRate,
    Buyer,
    Seller,
    TaxableLine,
    TaxAnswer,
    TaxedLine,
    TaxEngineSpec,
    TaxRefused,
    TaxRequest,
    TaxUnavailable,
    Untaxed,
)
from billcore.settings import Settings
from tests.builders import refusal

DAY = date(2026, 1, 1)
NONE = TaxedLine(0, (), Untaxed.NOT_COLLECTING)


@frozen
class Config:
    key: Secret | None = None
    percent: Decimal = Decimal(10)


class Flat:
    """One rate for everybody, rounded by line; `answer` stands in for what it would say."""

    local = True

    def __init__(self, config=None, answer=None):
        self.config, self.answer, self.asked = config or Config(), answer, []

    def quote(self, request):
        self.asked.append(request)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class Plugin:
    def __init__(self, name="acme", build=Flat):
        self.name, self.build = name, build

    @hookimpl
    def register_tax_engines(self):
        return [TaxEngineSpec(self.name, Config, self.build)]


def registry(plugin=None):
    return Registry({"acme": plugin or Plugin()}, installed=False)


def request(*lines, exempt=False):
    return TaxRequest("inv_1", "USD", DAY, Buyer("US", "CO", exempt=exempt), Seller(), "group", lines)


def taxed(amount, *rates, reason=None):
    return TaxedLine(amount, rates, reason)


def rate(amount, percent="10", name="Tax", jurisdiction="US-CO"):
    return AppliedRate(name, Decimal(percent), amount, jurisdiction)


# -- registration and configuration -----------------------------------------------------------------------------


def test_an_engine_is_built_from_a_configuration_with_strict_keys():
    engine = registry().tax_engine("acme", {"percent": "7.5", "key": "tk_canary"})
    assert (engine.config.percent, str(engine.config.key)) == (Decimal("7.5"), "***")
    with pytest.raises(PluginError, match="Did you mean 'percent'"):
        registry().tax_engine("acme", {"precent": "7.5"})


def test_an_engine_nobody_offers_is_unknown_and_what_is_there_is_named():
    error = refusal(registry().tax_engine, "acne")
    assert error.code == "plugin_unknown"
    assert "Did you mean 'acme'?" in str(error)


def test_the_name_of_the_built_in_engine_is_taken():
    plugins = registry(Plugin("rates"))
    assert plugins.tax_engines() == ()
    (failure,) = plugins.failures()
    assert "offers the tax engine 'rates' already" in failure.message


def test_an_engine_that_asks_over_a_network_is_refused():
    """Nothing outside may be waited for while a document is made."""

    class Remote(Flat):
        local = False

    assert refusal(registry(Plugin(build=Remote)).tax_engine, "acme").code == "not_supported"


@pytest.mark.parametrize(
    ("attributes", "told"), [({"local": "yes"}, "true or false"), ({"local": True, "quote": None}, "no method 'quote'")]
)
def test_an_engine_without_its_contract_is_refused_and_named(attributes, told):
    broken = registry(Plugin(build=lambda config: type("Broken", (), attributes)()))
    error = refusal(broken.tax_engine, "acme")
    assert error.code == "plugin_failed"
    assert told in str(error)


def test_a_file_configures_gateways_and_tax_engines_side_by_side(tmp_path):
    path = tmp_path / "billcore.toml"
    path.write_text('[gateways.test]\nvault = true\n[tax_engines.acme]\nkey = "env:TAX_KEY"\n')
    variables = {"TAX_KEY": "tk_canary", "BILLCORE_TAX_ACME_PERCENT": "7.5"}
    found = read_tax_engines(registry(), path, variables)
    assert found == {"acme": {"key": Secret("tk_canary"), "percent": "7.5"}}


@pytest.mark.parametrize(
    ("text", "variables", "told"),
    [
        ("[tax_engines.acne]", {}, "No tax engine 'acne' is there"),
        ("[tax_engines.acme]\nkye = 1", {}, "Did you mean 'key'?"),
        ("[tax_engine.acme]", {}, "Did you mean 'tax_engines'?"),
        ("", {"BILLCORE_TAX_ACME_PRECENT": "1"}, "Did you mean BILLCORE_TAX_ACME_PERCENT?"),
    ],
)
def test_a_wrong_configuration_is_named(tmp_path, text, variables, told):
    path = tmp_path / "billcore.toml"
    path.write_text(text)
    with pytest.raises(BillcoreError) as refused:
        read_tax_engines(registry(), path, variables)
    assert told in str(refused.value)


def test_a_configured_engine_is_built_when_the_program_starts():
    with pytest.raises(PluginError, match="percnt"):
        TaxEngines(registry(), {"acme": {"percnt": "1"}})


# -- answers ----------------------------------------------------------------------------------------------------

LINE = TaxableLine(10000)
INSIDE = TaxableLine(100, inclusive=True)


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        ([LINE], [taxed(1000, rate(1000))]),
        ([LINE], [taxed(775, rate(290, "2.9"), rate(485, "4.85", "County"))]),
        ([LINE], [taxed(0, rate(0, "0"))]),
        ([LINE], [NONE]),
        ([LINE, LINE], [taxed(1000, rate(1000)), taxed(0, reason=Untaxed.REVERSE_CHARGE)]),
        ([TaxableLine(-500)], [taxed(-50, rate(-50))]),
        ([TaxableLine(1)], [taxed(0, rate(0))]),
        ([INSIDE], [taxed(9, rate(9))]),
        ([TaxableLine(100, taxable=False)], [taxed(0, reason=Untaxed.NOT_TAXABLE)]),
    ],
)
def test_an_answer_that_fits_is_taken(lines, answer):
    engine = Flat(answer=TaxAnswer("USD", tuple(answer)))
    assert quote("acme", engine, request(*lines)).lines == tuple(answer)


class AnInt(int):
    pass


@pytest.mark.parametrize(
    ("line", "answer", "told"),
    [
        (LINE, None, "it is a NoneType"),
        (LINE, {"currency": "USD"}, "it is a dict"),
        (LINE, TaxAnswer("EUR", (NONE,)), "it is in 'EUR', the document in USD"),
        (LINE, TaxAnswer("USD", [NONE]), "its lines are a list"),
        (LINE, TaxAnswer("USD", (NONE, NONE)), "it has 2 lines, the document 1"),
        (LINE, TaxAnswer("USD", ()), "it has 0 lines, the document 1"),
        (LINE, TaxAnswer("USD", (5,)), "line 1: it is a int"),
        (LINE, TaxAnswer("USD", (taxed(1000.0, rate(1000)),)), "its tax is a float"),
        (LINE, TaxAnswer("USD", (taxed(AnInt(1000), rate(1000)),)), "its tax is a AnInt"),
        (LINE, TaxAnswer("USD", (taxed(True, rate(1)),)), "its tax is a bool"),
        (LINE, TaxAnswer("USD", (taxed(1000, rate(1000.0)),)), "no whole number"),
        (LINE, TaxAnswer("USD", (taxed(1000, evolve(rate(1000), percent=10.0)),)), "no Decimal"),
        (LINE, TaxAnswer("USD", (taxed(1000, rate(1000, "NaN")),)), "no Decimal"),
        (LINE, TaxAnswer("USD", (taxed(1000, rate(1000, name="")),)), "name and jurisdiction"),
        (LINE, TaxAnswer("USD", (taxed(1000, rate(1000, name="a\nb")),)), "name and jurisdiction"),
        (LINE, TaxAnswer("USD", (taxed(1000, ("Tax", 10)),)), "one of its rates is a tuple"),
        (LINE, TaxAnswer("USD", (TaxedLine(1000, [rate(1000)]),)), "no tuple of at most 20"),
        (LINE, TaxAnswer("USD", (taxed(1000, rate(999)),)), "its tax is 1000, its rates come to 999"),
        (LINE, TaxAnswer("USD", (taxed(1000),)), "its rates come to 0"),
        (LINE, TaxAnswer("USD", (taxed(-1000, rate(-1000)),)), "gives -1000 on 10000"),
        (LINE, TaxAnswer("USD", (taxed(0, rate(-5), rate(5)),)), "gives -5 on 10000"),
        (TaxableLine(0), TaxAnswer("USD", (taxed(5, rate(5)),)), "gives 5 on 0"),
        (LINE, TaxAnswer("USD", (taxed(5, rate(5, "0")),)), "of 0 % gives 5"),
        (INSIDE, TaxAnswer("USD", (taxed(101, rate(101)),)), "a tax of 101 lies inside an amount of 100"),
        (LINE, TaxAnswer("USD", (taxed(0),)), "neither rates nor a reason"),
        (LINE, TaxAnswer("USD", (taxed(0, reason="exempt"),)), "its reason is a str"),
        (LINE, TaxAnswer("USD", (taxed(0, rate(0), reason=Untaxed.EXEMPT),)), "both rates and a reason"),
        (evolve(LINE, taxable=False), TaxAnswer("USD", (taxed(1000, rate(1000)),)), "not taxable"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused_and_named(line, answer, told):
    error = refusal(quote, "acme", Flat(answer=answer), request(line))
    assert error.code == "plugin_failed"
    assert "'acme'" in error.message
    assert told in error.message


def test_an_exempt_buyer_is_exempt_whatever_the_engine_says():
    told = "the buyer is exempt"
    for line in (taxed(1000, rate(1000)), NONE):
        error = refusal(quote, "acme", Flat(answer=TaxAnswer("USD", (line,))), request(LINE, exempt=True))
        assert told in error.message


# -- errors and the fallback --------------------------------------------------------------------------------------


def facts(taxes):
    return TaxFacts(taxes, Place("US", "CO"), DAY, exempt=False)


def ask(*engines):
    quoted = Quoted([(f"e{place}", engine) for place, engine in enumerate(engines)])
    return quoted.tax([LINE], facts(quoted), "inv_1", "USD", "group")


GOOD = TaxAnswer("USD", (taxed(1000, rate(1000)),))


def test_an_exception_nobody_foresaw_counts_as_down_and_its_text_is_not_shown():
    error = refusal(ask, Flat(answer=KeyError("tk_canary")))
    assert error.code == "tax_unavailable"
    assert "raised KeyError" in str(error) and "tk_canary" not in str(error)


def test_another_engine_is_asked_only_while_the_first_is_down():
    second = Flat(answer=GOOD)
    (line,) = ask(Flat(answer=TaxUnavailable("down")), second)
    assert (line.amount, line.engine) == (1000, "e1")
    (line,) = ask(Flat(answer=GOOD), unused := Flat(answer=GOOD))
    assert (line.engine, unused.asked) == ("e0", [])


@pytest.mark.parametrize(
    ("answer", "code"), [(TaxRefused("no postcode"), "tax_refused"), (TaxAnswer("EUR", ()), "plugin_failed")]
)
def test_what_asking_again_does_not_mend_goes_to_no_other_engine(answer, code):
    second = Flat(answer=GOOD)
    assert refusal(ask, Flat(answer=answer), second).code == code
    assert second.asked == []


def test_a_document_without_charges_asks_nobody():
    quoted = Quoted([("acme", engine := Flat(answer=GOOD))])
    assert quoted.tax([], facts(quoted), "inv_1", "USD", "group") == []
    assert engine.asked == []


def test_the_engines_of_the_settings_are_the_usual_one_and_its_fallback():
    table = RateTable(())
    engines = TaxEngines(registry(Plugin(build=lambda config: Flat(config, TaxUnavailable("down")))), None)
    assert engines.taxes(Settings(), table) is table
    quoted = engines.taxes(Settings(tax_engine="acme", tax_fallback="rates"), table)
    (line,) = quoted.tax([LINE], facts(quoted), "inv_1", "USD", "group")
    assert (line.engine, line.reason) == ("rates", "not_collecting")


# -- the built-in one ---------------------------------------------------------------------------------------------

ROWS = [
    TaxRow("DE", "", "", "*", "VAT", Decimal(19), id="r1"),
    TaxRow("DE", "", "", "book", "VAT", Decimal(7), id="r2"),
]
LINES = st.lists(
    st.builds(
        TaxableLine,
        st.integers(-(10**6), 10**6),
        st.sampled_from([None, "book", "saas"]),
        st.booleans(),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


@given(LINES, st.sampled_from(["group", "line", "document"]), st.booleans(), st.sampled_from(["DE", "FR", ""]))
def test_the_built_in_engine_says_the_same_through_its_contract(lines, rounding, exempt, country):
    """So that it may stand in for another one, and no other one needs to know what it does not."""
    table = RateTable(ROWS)
    own = TaxFacts(table, Place(country), DAY, exempt)
    direct = table.tax(lines, own, "inv_1", "USD", rounding)
    through = Quoted([("rates", Rates(table))]).tax(lines, own, "inv_1", "USD", rounding)
    assert [figures(one) for one in through] == [figures(one) for one in direct]


def figures(one):
    return one.amount, one.included, one.reason, [(rate.name, rate.rate, rate.amount) for rate in one.rates]
