"""The conformance suite of tax engines: one class to inherit from, a few fixtures to write."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from threading import Barrier
from typing import get_args

import pytest
from attrs import evolve

from billcore.plugins.config import read_config
from billcore.plugins.registry import Registry
from billcore.plugins.tax import (
    TaxableLine,
    TaxAnswer,
    TaxedLine,
    TaxEngine,
    TaxRefused,
    TaxRequest,
    TaxRounding,
    TaxUnavailable,
    Untaxed,
)
from billcore.plugins.tax_checks import answer_problem
from billcore.testing import tax_rules as rules
from billcore.testing.offline import no_network
from billcore.testing.rules import Rule, broken, check
from billcore.testing.secrecy import everything_told, leaks
from billcore.testing.tax_fixtures import Down, Open, TaxFixtures, typed

_MISSPELT = "no_such_key"
_THREADS = 8
_ROUNDINGS: tuple[TaxRounding, ...] = get_args(TaxRounding)


class TaxConformance(TaxFixtures):
    """The contract of tax engines as tests: inherit as `class TestAcme(TaxConformance)` and give its fixtures."""

    # -- building -------------------------------------------------------------------------------------------

    def test_it_is_found_by_its_name(self, registry: Registry, engine_name: str) -> None:
        """By its entry point, without a failure of its plugin."""
        there = registry.tax_engines()
        failures = "; ".join(failure.message for failure in registry.failures())
        check(engine_name in there, rules.REGISTERED, f"there are {', '.join(there) or 'none'}. {failures}")

    def test_an_unknown_configuration_key_is_refused_and_named(
        self, open_engine: Open, config: Mapping[str, object]
    ) -> None:
        """A misspelt key is found when the engine is opened, not in a tax return."""
        try:
            open_engine({**config, _MISSPELT: "x"})
        except Exception as error:  # noqa: BLE001  whatever it is, it has to name the key
            check(_MISSPELT in str(error), rules.STRICT_CONFIGURATION, str(error))
        else:
            broken(rules.STRICT_CONFIGURATION, f"{_MISSPELT!r} was taken without a word")

    def test_it_makes_no_call(self, open_engine: Open, config: Mapping[str, object], sale: TaxRequest) -> None:
        """It is asked while the books are kept locked: nobody outside may be waited for."""
        problem = ""
        with no_network() as tried:
            try:
                engine = open_engine(config)
                problem = "" if engine.local else "its `local` is False"
                engine.quote(sale)
            except Exception as error:  # noqa: BLE001  an engine under test may raise anything
                problem = str(error)
        check(not tried, rules.LOCAL, ", ".join(tried))
        check(not problem, rules.LOCAL, f"without a network: {problem}")

    def test_its_package_has_types(self, engine: TaxEngine) -> None:
        """Who uses the plugin checks his own code against it."""
        check(typed(engine), rules.TYPED, f"{type(engine).__module__} has no py.typed")

    def test_secrets_are_not_shown(
        self,
        registry: Registry,
        engine_name: str,
        engine: TaxEngine,
        config: Mapping[str, object],
        secrets: tuple[str, ...],
    ) -> None:
        """A debugger, a log line and an error page show objects by their repr."""
        read = read_config(registry.tax_engine_config(engine_name), config, f"tax engine {engine_name!r}")
        inside = vars(engine) if hasattr(engine, "__dict__") else {}
        for what, thing in (("the configuration", read), ("the engine", engine), ("the engine's vars", inside)):
            _check_quiet(secrets, f"the repr of {what}", f"{thing!r} {thing!s}")

    # -- answers --------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("rounding", _ROUNDINGS)
    def test_an_answer_fits_its_question(self, engine: TaxEngine, sale: TaxRequest, rounding: TaxRounding) -> None:
        """What does not fit is refused, and the document with it; line taxes add up to the rates that made them."""
        _answer(engine, evolve(sale, rounding=rounding), rules.ANSWER)

    @pytest.mark.parametrize("rounding", _ROUNDINGS)
    def test_a_rate_gives_what_it_says(self, engine: TaxEngine, sale: TaxRequest, rounding: TaxRounding) -> None:
        """The customer reads the rate and its amount on the invoice, and so does the auditor."""
        both = evolve(
            sale, rounding=rounding, lines=(*sale.lines, *(evolve(one, inclusive=True) for one in sale.lines))
        )
        answer = _answer(engine, both, rules.PERCENT)
        rated = 0
        for line, taxed in zip(both.lines, answer.lines, strict=True):
            whole = 100 + (sum(Fraction(rate.percent) for rate in taxed.rates) if line.inclusive else 0)
            for rate in taxed.rates:
                exact = line.amount * Fraction(rate.percent) / whole
                rated += rate.amount != 0
                told = f"{rate.name} of {rate.percent} % gives {rate.amount} on {_told(line)}"
                check(abs(rate.amount - exact) <= 1, rules.PERCENT, told)
        check(bool(rated), rules.PERCENT, "nothing of `sale` was taxed: give one that is")

    def test_the_same_question_has_the_same_answer(
        self, engine: TaxEngine, open_engine: Open, config: Mapping[str, object], sale: TaxRequest
    ) -> None:
        """A preview, a dry run and the document must not differ; nor may two workers."""
        first = _answer(engine, sale, rules.SAME)
        _answer(engine, evolve(sale, lines=sale.lines[:1]), rules.SAME)
        other = _answer(engine, evolve(sale, document=f"{sale.document}_other"), rules.SAME)
        for what, again in (
            ("asked again", _answer(engine, sale, rules.SAME)),
            ("of another document", other),
            ("of another object", _answer(open_engine(config), sale, rules.SAME)),
        ):
            check(again == first, rules.SAME, f"{_taxes(first)} at first, {what}: {_taxes(again)}")

    def test_each_answer_stands_in_the_place_of_its_line(self, engine: TaxEngine, sale: TaxRequest) -> None:
        """The tax of one line must not be credited with another."""
        lines = tuple(evolve(line, amount=line.amount * place) for place, line in enumerate(sale.lines * 2, 1))
        ask = evolve(sale, rounding="line", lines=lines)
        forward = _answer(engine, ask, rules.ORDER)
        backward = _answer(engine, evolve(ask, lines=lines[::-1]), rules.ORDER)
        check(backward.lines[::-1] == forward.lines, rules.ORDER, f"{_taxes(forward)}; backwards: {_taxes(backward)}")

    def test_inclusive_and_exclusive_prices_agree(self, engine: TaxEngine, sale: TaxRequest) -> None:
        """100 plus its tax is what the price with its tax inside costs."""
        for line in sale.lines:
            [outside] = _answer(engine, evolve(sale, lines=(line,)), rules.INCLUSIVE).lines
            gross = evolve(line, amount=line.amount + outside.tax, inclusive=True)
            [inside] = _answer(engine, evolve(sale, lines=(gross,)), rules.INCLUSIVE).lines
            near = abs(inside.tax - outside.tax) <= max(1, len(outside.rates))
            check(near, rules.INCLUSIVE, f"{outside.tax} on {line.amount}, {inside.tax} inside {gross.amount}")

    @pytest.mark.parametrize("rounding", _ROUNDINGS)
    def test_a_rebate_is_the_exact_negative(self, engine: TaxEngine, sale: TaxRequest, rounding: TaxRounding) -> None:
        """What is charged and taken back leaves nothing."""
        ask = evolve(sale, rounding=rounding, lines=tuple(evolve(one, amount=one.amount + 1) for one in sale.lines))
        charged = _answer(engine, ask, rules.NEGATIVE)
        back = evolve(ask, lines=tuple(evolve(one, amount=-one.amount) for one in ask.lines))
        returned = _answer(engine, back, rules.NEGATIVE)
        exact = [-line.tax for line in returned.lines] == [line.tax for line in charged.lines]
        check(exact, rules.NEGATIVE, f"{_taxes(charged)} charged, {_taxes(returned)} taken back")

    def test_nothing_is_taxed_with_nothing(self, engine: TaxEngine, sale: TaxRequest) -> None:
        """Free months stand on invoices too."""
        free = evolve(sale, lines=tuple(evolve(one, amount=0) for one in sale.lines))
        answer = _answer(engine, free, rules.NOTHING)
        check(not any(line.tax for line in answer.lines), rules.NOTHING, _taxes(answer))

    # -- no tax, and why ------------------------------------------------------------------------------------

    def test_an_exempt_buyer_is_not_taxed_and_every_line_says_so(self, engine: TaxEngine, sale: TaxRequest) -> None:
        """It comes before rates, places and what is sold."""
        exempt = evolve(sale, buyer=evolve(sale.buyer, exempt=True))
        mixed = evolve(exempt, lines=(*exempt.lines, evolve(exempt.lines[0], taxable=False)))
        _untaxed(engine, mixed, Untaxed.EXEMPT, rules.EXEMPT)

    def test_what_is_not_taxable_says_so(self, engine: TaxEngine, sale: TaxRequest) -> None:
        """And only it: the lines beside it are taxed as before."""
        ask = evolve(sale, lines=(evolve(sale.lines[0], taxable=False), *sale.lines[1:]))
        first = _answer(engine, ask, rules.NOT_TAXABLE).lines[0]
        check(first == TaxedLine(0, (), Untaxed.NOT_TAXABLE), rules.NOT_TAXABLE, f"{first.tax}, {first.reason}")

    def test_where_no_tax_is_collected_every_line_says_so(
        self, engine: TaxEngine, untaxed_sale: TaxRequest | None
    ) -> None:
        """An invoice without tax that does not say why is no invoice in most places."""
        if untaxed_sale is None:
            pytest.skip("no untaxed_sale was given")
        _untaxed(engine, untaxed_sale, Untaxed.NOT_COLLECTING, rules.NOT_COLLECTING)

    def test_where_the_buyer_owes_the_tax_every_line_says_so(
        self, engine: TaxEngine, reverse_charge_sale: TaxRequest | None
    ) -> None:
        """The words have to stand on the invoice."""
        if reverse_charge_sale is None:
            pytest.skip("no reverse_charge_sale was given")
        _untaxed(engine, reverse_charge_sale, Untaxed.REVERSE_CHARGE, rules.REVERSE_CHARGE)

    # -- errors, threads, state -----------------------------------------------------------------------------

    def test_what_cannot_be_taxed_as_it_is_is_refused(
        self, engine: TaxEngine, incomplete_sale: TaxRequest | None, secrets: tuple[str, ...]
    ) -> None:
        """Somebody has to complete an address; no later try and no other engine helps."""
        if incomplete_sale is None:
            pytest.skip("no incomplete_sale was given")
        error = _raised(engine, incomplete_sale)
        check(type(error) is TaxRefused, rules.REFUSED, _kind(error))
        _check_quiet(secrets, "an error", everything_told(error) if error else "")

    def test_an_engine_that_is_down_says_so(
        self, engine: TaxEngine, sale: TaxRequest, down: Down | None, secrets: tuple[str, ...]
    ) -> None:
        """Nothing is wrong with the document: it waits, or a fallback is asked."""
        if down is None:
            pytest.skip("no way to break it was given as `down`")
        with down(engine):
            error = _raised(engine, sale)
        check(type(error) is TaxUnavailable, rules.DOWN, _kind(error))
        _check_quiet(secrets, "an error", everything_told(error) if error else "")

    def test_threads_get_their_own_answers(self, engine: TaxEngine, sale: TaxRequest) -> None:
        """Questions of different amounts, all at once, have the answers that each has alone."""
        asks = [
            evolve(sale, lines=tuple(evolve(one, amount=one.amount * number) for one in sale.lines))
            for number in range(1, _THREADS + 1)
        ]
        alone = [_answer(engine, ask, rules.THREADS) for ask in asks]
        ready = Barrier(_THREADS)

        def asked(ask: TaxRequest) -> object:
            ready.wait(timeout=10)
            return _quoted(engine, ask)

        with ThreadPoolExecutor(_THREADS) as threads:
            together = list(threads.map(asked, asks))
        for one, other in zip(alone, together, strict=True):
            told = _taxes(other) if isinstance(other, TaxAnswer) else _kind(other)
            check(one == other, rules.THREADS, f"{_taxes(one)} alone, with others: {told}")

    def test_objects_share_nothing(
        self, engine: TaxEngine, open_engine: Open, other_config: Mapping[str, object] | None, sale: TaxRequest
    ) -> None:
        """A host bills for several sellers in one process; one opened later must not take over the first."""
        if other_config is None:
            pytest.skip("no other_config was given")
        before = _answer(engine, sale, rules.OWN_STATE)
        _answer(open_engine(other_config), sale, rules.OWN_STATE)
        after = _answer(engine, sale, rules.OWN_STATE)
        check(after == before, rules.OWN_STATE, f"{_taxes(before)} before another was opened, then {_taxes(after)}")


def _quoted(engine: TaxEngine, request: TaxRequest) -> object:
    """The answer, or the error."""
    try:
        return engine.quote(request)
    except Exception as error:  # noqa: BLE001  an engine under test may raise anything
        return error


def _answer(engine: TaxEngine, request: TaxRequest, rule: Rule) -> TaxAnswer:
    """An answer that the core takes; one that it would not take breaks ANSWER, a missing one `rule`."""
    __tracebackhide__ = True
    answer = _quoted(engine, request)
    if isinstance(answer, Exception):
        broken(rule, _kind(answer))
    problem = answer_problem(request, answer)
    exempt = "exempt" in problem or "taxable" in problem
    check(not problem, rule if exempt else rules.ANSWER, problem)
    assert isinstance(answer, TaxAnswer)
    return answer


def _untaxed(engine: TaxEngine, request: TaxRequest, reason: Untaxed, rule: Rule) -> None:
    __tracebackhide__ = True
    answer = _quoted(engine, request)
    told = f"{_taxes(answer)}" if isinstance(answer, TaxAnswer) else _kind(answer)
    expected = TaxAnswer(request.currency, tuple(TaxedLine(0, (), reason) for _ in request.lines))
    check(answer == expected, rule, told)


def _raised(engine: TaxEngine, request: TaxRequest) -> Exception | None:
    answer = _quoted(engine, request)
    return answer if isinstance(answer, Exception) else None


def _kind(answer: object) -> str:
    if isinstance(answer, Exception):
        return f"it raised {type(answer).__name__}"
    return "it answered" if answer is None else f"it answered with a {type(answer).__name__}"


def _taxes(answer: TaxAnswer) -> str:
    return ", ".join(f"{line.tax}{f' ({line.reason})' if line.reason else ''}" for line in answer.lines)


def _told(line: TaxableLine) -> str:
    return f"{line.amount}{' with its tax inside' if line.inclusive else ''}"


def _check_quiet(secrets: tuple[str, ...], where: str, text: str) -> None:
    __tracebackhide__ = True
    shown = leaks(secrets, text)
    check(not shown, rules.SECRET, f"{where} shows the secret that begins with {', '.join(shown)}")
