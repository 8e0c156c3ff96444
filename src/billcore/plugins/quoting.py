"""Asking tax engines: a document's question, the checked answer, and the fallback of one that is down (8.2)."""

from collections.abc import Sequence

from billcore.domain import tax
from billcore.errors import PluginError
from billcore.plugins.tax import Buyer, TaxAnswer, TaxEngine, TaxRefused, TaxRequest, TaxUnavailable
from billcore.plugins.tax_checks import answer_problem
from billcore.settings import TaxRounding


def quote(name: str, engine: TaxEngine, request: TaxRequest) -> TaxAnswer:
    """What the engine `name` answers, checked.

    Raises TaxRefused and TaxUnavailable, the latter also for an exception nobody foresaw; plugin_failed for nonsense.
    """
    try:
        answer = engine.quote(request)
    except (TaxRefused, TaxUnavailable):
        raise
    except Exception as error:
        # Its text may hold what must not be shown: the kind has to do.
        raise TaxUnavailable(
            f"The tax engine {name!r} failed: it raised {type(error).__name__}.",
            remedy="Upgrade its plugin, or report this to its author; tax_fallback may name another engine.",
            engine=name,
        ) from error
    problem = answer_problem(request, answer)
    if problem:
        raise PluginError(
            "plugin_failed",
            f"The tax engine {name!r} answered with nonsense: {problem}.",
            remedy="Report this to the author of the engine's plugin.",
            engine=name,
        )
    return answer


class Quoted:
    """Taxes by engines of plugins: the first answers; another is asked only while the one before it is down."""

    def __init__(self, engines: Sequence[tuple[str, TaxEngine]]) -> None:
        self._engines = tuple(engines)

    def tax(
        self, lines: Sequence[tax.TaxableLine], facts: tax.TaxFacts, document: str, currency: str, rounding: TaxRounding
    ) -> list[tax.LineTax]:
        """The tax of a document's charge lines; raises what `quote` raises of the last engine asked."""
        if not lines:
            return []
        place = facts.place
        buyer = Buyer(
            place.country, place.region, place.postcode, facts.city, facts.address, facts.vat_number, facts.exempt
        )
        request = TaxRequest(document, currency, facts.on, buyer, facts.seller, rounding, tuple(lines))
        name, answer = self._ask(request)
        return [
            tax.LineTax(
                one.tax,
                one.tax if line.inclusive else 0,
                tuple(tax.AppliedRate(rate.name, rate.percent, rate.jurisdiction, rate.amount) for rate in one.rates),
                None if one.reason is None else str(one.reason),
                name,
            )
            for line, one in zip(lines, answer.lines, strict=True)
        ]

    def _ask(self, request: TaxRequest) -> tuple[str, TaxAnswer]:
        *earlier, (last, engine) = self._engines
        for name, one in earlier:
            try:
                return name, quote(name, one, request)
            except TaxUnavailable:
                continue
        return last, quote(last, engine, request)
