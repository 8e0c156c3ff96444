"""The rules of the tax engine contract, each with what to do when it is broken: what a failing check says."""

from functools import partial

from billcore.testing.rules import Rule

GUIDE = "docs/howto/write-a-tax-engine.md"

_rule = partial(Rule, guide=GUIDE)

REGISTERED = _rule(
    "A tax engine is found by its name through its entry point.",
    "Offer a TaxEngineSpec from a function `register_tax_engines` marked with hookimpl, in the module that the entry "
    "point of the group `billcore` names; `billcore plugins` shows what was found, and why something was not.",
)
STRICT_CONFIGURATION = _rule(
    "A configuration key that the engine does not know is refused, and named.",
    "Let the TaxEngineSpec name an attrs class of its own with one field for each key; the registry reads it.",
)
LOCAL = _rule(
    "An engine answers by itself: it makes no network call, neither when it is built nor when it is asked.",
    "Load what it needs when it is built, from its package or its configuration.",
)
TYPED = _rule(
    "A plugin ships its types.",
    "Put an empty file `py.typed` beside the plugin's modules and into its wheel.",
)
SECRET = _rule(
    "A secret is never shown: not in a repr and not in an error.",
    "Declare it as Secret in the configuration, keep the Secret itself, and reveal() it only where it is used.",
)
OWN_STATE = _rule(
    "Two engine objects share nothing.",
    "Keep rates and caches on the object, never in the module or the class.",
)
THREADS = _rule(
    "An engine is asked from several threads at once, and each answer belongs to its own request.",
    "Keep nothing about a request on the object.",
)
ANSWER = _rule(
    "An answer fits its question: exactly the contract's types, one line for each line, whole minor units of the "
    "document's currency, rates that come to the line's tax, and rates or a reason on every line.",
    "Return TaxAnswer(request.currency, tuple of TaxedLine); amounts are integers that were rounded once.",
)
SAME = _rule(
    "The same question has the same answer, whatever was asked before, and asking has no effect.",
    "Reckon from the request alone: no counter, no clock, nothing from the document's id.",
)
ORDER = _rule(
    "Each answer stands in the place of its line.",
    "Go through request.lines in their order; do not sort or group the answer.",
)
PERCENT = _rule(
    "A rate gives what it says: its percent of the line's amount, rounded to within one minor unit.",
    "Reckon in Decimal or Fraction and round once; `percent` is what the rate is of the whole amount.",
)
INCLUSIVE = _rule(
    "The tax inside an inclusive price is the one that an exclusive price with the same net would have.",
    "Of an inclusive amount a rate takes percent / (100 + the percents of all rates of the line).",
)
NEGATIVE = _rule(
    "A rebate is taxed as the exact negative of the charge that it takes back.",
    "Round half away from zero on both sides, as round(abs(amount)) with the sign put back.",
)
NOTHING = _rule(
    "An amount of zero has a tax of zero.",
    "Apply rates to the line's amount only; a fixed amount is no tax rate.",
)
EXEMPT = _rule(
    "An exempt buyer is not taxed, and every line says so: it comes before everything else.",
    "Return TaxedLine(0, reason=Untaxed.EXEMPT) for each line when request.buyer.exempt.",
)
NOT_TAXABLE = _rule(
    "A line that is not taxable has no tax and says so.",
    "Return TaxedLine(0, reason=Untaxed.NOT_TAXABLE) where line.taxable is False.",
)
NOT_COLLECTING = _rule(
    "Where the seller collects no tax every line says so.",
    "Return TaxedLine(0, reason=Untaxed.NOT_COLLECTING); a line without rates and reason looks like a mistake.",
)
REVERSE_CHARGE = _rule(
    "Where the buyer owes the tax himself every line says so.",
    "Return TaxedLine(0, reason=Untaxed.REVERSE_CHARGE).",
)
REFUSED = _rule(
    "A document that cannot be taxed as it is, such as one for an incomplete address, is TaxRefused.",
    "Raise TaxRefused with what is missing; never guess, and keep TaxUnavailable for what asking again may mend.",
)
DOWN = _rule(
    "An engine that cannot answer is TaxUnavailable.",
    "Raise TaxUnavailable; never answer with no tax, and keep TaxRefused for what is wrong with the document.",
)
