"""What is proved: laws, what was found against them, and the verdicts."""

from collections import Counter
from collections.abc import Callable

from attrs import frozen

from billcore.domain.money import format_minor
from billcore.store.database import Transaction

KEPT_PER_LAW = 20
"""How many findings of one law are kept; the others are counted."""

BATCH = 100
"""How many customers or subscriptions are looked at together: memory stays flat, whatever the books hold."""


@frozen
class Law:
    """Something that must hold: `statement` says it, `behaviour` is the rule's number, `subjects` what it is about."""

    name: str
    behaviour: str
    statement: str
    subjects: str


@frozen
class Finding:
    """One case in which a law does not hold: `subject` names it as people do, `subject_id` is its row."""

    law: str
    behaviour: str
    subject: str
    subject_id: str
    message: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.message} (behaviour {self.behaviour})"


@frozen
class Verdict:
    """What came of one law: how many `law.subjects` were looked at, and in how many cases it does not hold."""

    law: Law
    checked: int
    violated: int


@frozen
class Proof:
    """The verdicts in the order in which they were reached; `findings` are at most some of each law."""

    verdicts: tuple[Verdict, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether every law holds."""
        return not self.violated

    @property
    def checked(self) -> int:
        """How many single facts were looked at."""
        return sum(verdict.checked for verdict in self.verdicts)

    @property
    def violated(self) -> int:
        """How many of them are wrong."""
        return sum(verdict.violated for verdict in self.verdicts)

    def __str__(self) -> str:
        if self.ok:
            return f"verify: ok ({len(self.verdicts)} laws, {self.checked} facts)"
        return f"verify: {self.violated} findings ({len(self.verdicts)} laws, {self.checked} facts)"


ProofWatcher = Callable[[str, int], None]
"""Told what is being proved and how many customers or subscriptions are done."""


class Findings:
    """Collects what the proofs find: the first of each law in full, the others counted."""

    def __init__(self, tx: Transaction, watch: ProofWatcher) -> None:
        self.tx = tx
        self.watch = watch
        self._kept: dict[str, list[Finding]] = {}
        self._laws: dict[str, Law] = {}
        self._checked: Counter[str] = Counter()
        self._violated: Counter[str] = Counter()

    def checked(self, law: Law, count: int) -> None:
        """`count` more of the law's subjects were looked at."""
        self._laws[law.name] = law
        self._checked[law.name] += count

    def add(self, law: Law, kind: str, row_id: str, message: str) -> None:
        """The law does not hold for the `kind` of thing with this id."""
        self._laws[law.name] = law
        self._violated[law.name] += 1
        kept = self._kept.setdefault(law.name, [])
        if len(kept) < KEPT_PER_LAW:
            subject = name_of(self.tx, kind, row_id)
            kept.append(Finding(law.name, law.behaviour, subject, row_id, message))

    def proof(self) -> Proof:
        """Everything that was found."""
        return Proof(
            tuple(Verdict(law, self._checked[law.name], self._violated[law.name]) for law in self._laws.values()),
            tuple(finding for kept in self._kept.values() for finding in kept),
        )


_NAMES = {
    "customer": "SELECT reference FROM billcore_customers WHERE id = ?",
    "subscription": "SELECT reference FROM billcore_subscriptions WHERE id = ?",
    "invoice": "SELECT coalesce(number_text, id) FROM billcore_invoices WHERE id = ?",
    "credit note": "SELECT number_text FROM billcore_credit_notes WHERE id = ?",
    "line": (
        "SELECT coalesce(l.code, l.kind) || ' of ' || coalesce('invoice ' || i.number_text, "
        "'credit note ' || n.number_text, l.invoice_id) FROM billcore_lines l "
        "LEFT JOIN billcore_invoices i ON i.id = l.invoice_id "
        "LEFT JOIN billcore_credit_notes n ON n.id = l.credit_note_id WHERE l.id = ?"
    ),
}


def name_of(tx: Transaction, kind: str, row_id: str) -> str:
    """A thing as people call it: "invoice 17", "subscription s1"; by its id where it has no other name."""
    row = tx.one(_NAMES[kind], [row_id]) if kind in _NAMES else None
    return f"{kind} {row[0] if row is not None and row[0] is not None else row_id}"


def money(amount: int, currency: str) -> str:
    """An amount as messages write it: "49.00 USD"."""
    return f"{format_minor(amount, currency)} {currency}"
