"""What the core believes of a tax engine: its answers are checked where they come in (behaviour 8.2).

Answers have exactly the types of the contract, as those of gateways do.
"""

from decimal import Decimal

from billcore.domain.tax import TaxableLine
from billcore.plugins.tax import AppliedRate, TaxAnswer, TaxedLine, TaxRequest, Untaxed

LONGEST_NAME = 255
"""Characters of a rate's name or jurisdiction."""
MOST_RATES = 20
"""Rates on one line."""


def engine_problem(engine: object) -> str:
    """What an engine object lacks of its contract, or nothing."""
    if type(getattr(engine, "local", None)) is not bool:
        return "has no true or false as `local`"
    return "" if callable(getattr(engine, "quote", None)) else "has no method 'quote'"


def answer_problem(request: TaxRequest, answer: object) -> str:
    """What is wrong with an engine's answer to a request, or nothing."""
    if type(answer) is not TaxAnswer:
        return f"it is a {type(answer).__name__}, not a TaxAnswer"
    if answer.currency != request.currency:
        return f"it is in {answer.currency!r:.20}, the document in {request.currency}"
    if type(answer.lines) is not tuple:
        return f"its lines are a {type(answer.lines).__name__}, not a tuple"
    if len(answer.lines) != len(request.lines):
        return f"it has {len(answer.lines)} lines, the document {len(request.lines)}"
    for place, (asked, line) in enumerate(zip(request.lines, answer.lines, strict=True), 1):
        problem = _line_problem(asked, line, exempt=request.buyer.exempt or asked.exempt)
        if problem:
            return f"line {place}: {problem}"
    return ""


def _line_problem(asked: TaxableLine, line: object, *, exempt: bool) -> str:
    if type(line) is not TaxedLine:
        return f"it is a {type(line).__name__}, not a TaxedLine"
    if type(line.tax) is not int:
        return f"its tax is a {type(line.tax).__name__}, not a whole number of minor units"
    if type(line.rates) is not tuple or len(line.rates) > MOST_RATES:
        return f"its rates are no tuple of at most {MOST_RATES}"
    for rate in line.rates:
        problem = _rate_problem(asked, rate)
        if problem:
            return problem
    if line.tax != sum(rate.amount for rate in line.rates):
        return f"its tax is {line.tax}, its rates come to {sum(rate.amount for rate in line.rates)}"
    if asked.inclusive and abs(line.tax) > abs(asked.amount):
        return f"a tax of {line.tax} lies inside an amount of {asked.amount}"
    return _reason_problem(asked, line, exempt=exempt)


def _rate_problem(asked: TaxableLine, rate: object) -> str:
    if type(rate) is not AppliedRate:
        return f"one of its rates is a {type(rate).__name__}, not an AppliedRate"
    if not (_is_text(rate.name) and rate.name and _is_text(rate.jurisdiction)):
        return f"a rate's name and jurisdiction are texts of at most {LONGEST_NAME} characters"
    if type(rate.percent) is not Decimal or not rate.percent.is_finite() or rate.percent < 0:
        return f"the percent of rate {rate.name!r} is no Decimal from 0 on"
    if type(rate.amount) is not int:
        return f"the amount of rate {rate.name!r} is no whole number of minor units"
    if rate.amount * asked.amount < 0 or (rate.amount and not (asked.amount and rate.percent)):
        return f"rate {rate.name!r} of {rate.percent} % gives {rate.amount} on {asked.amount}"
    return ""


def _reason_problem(asked: TaxableLine, line: TaxedLine, *, exempt: bool) -> str:
    """A line has rates or says why it has none; what the core knows already comes before everything."""
    if line.reason is not None and type(line.reason) is not Untaxed:
        return f"its reason is a {type(line.reason).__name__}, not an Untaxed"
    if exempt and (line.rates or line.reason is not Untaxed.EXEMPT):
        return "the buyer is exempt, and it does not say so"
    if not exempt and not asked.taxable and (line.rates or line.reason is not Untaxed.NOT_TAXABLE):
        return "what is sold is not taxable, and it does not say so"
    if bool(line.rates) == (line.reason is not None):
        return "it has neither rates nor a reason" if not line.rates else "it has both rates and a reason for none"
    return ""


def _is_text(value: object) -> bool:
    return type(value) is str and len(value) <= LONGEST_NAME and (value == "" or value.isprintable())
