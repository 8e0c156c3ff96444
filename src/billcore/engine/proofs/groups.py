"""Groups of customers: whoever owes for a subscription is the payer of who subscribed (behaviour 14)."""

from billcore.engine.proofs.law import Findings, Law

NEVER = ("failed_to_create",)
"""States of what nobody owes for."""

PAYER = Law("payer", "14", "Subscriptions are owed by the payer of who subscribed.", "subscriptions")
PARENTS = Law("parents", "14", "Whose parent pays has one, and nobody stands above himself.", "customers")

_RUNNING = "SELECT count(*) FROM billcore_subscriptions WHERE state NOT IN ??"
_PLACED = "SELECT count(*) FROM billcore_customers WHERE parent_id IS NOT NULL OR pays = 'parent'"
# Upwards from everybody for whom somebody else might pay: to the first who pays himself, or has no parent.
_OWED = """
    WITH RECURSIVE up (sub_id, owes, id, parent_id, pays) AS (
        SELECT s.id, s.customer_id, c.id, c.parent_id, c.pays
        FROM billcore_subscriptions s JOIN billcore_customers c ON c.id = coalesce(s.owner_id, s.customer_id)
        WHERE s.state NOT IN ?? AND (s.owner_id IS NOT NULL OR c.pays = 'parent')
        UNION SELECT u.sub_id, u.owes, c.id, c.parent_id, c.pays
        FROM up u JOIN billcore_customers c ON c.id = u.parent_id WHERE u.pays = 'parent'
    )
    SELECT s.id, s.customer_id, u.id FROM billcore_subscriptions s
    LEFT JOIN up u ON u.sub_id = s.id AND u.pays <> 'parent'
    WHERE s.id IN (SELECT sub_id FROM up) AND (u.id IS NULL OR u.id <> s.customer_id OR s.owner_id = s.customer_id)
"""
_ASTRAY = """
    WITH RECURSIVE above (id, parent_id) AS (
        SELECT id, parent_id FROM billcore_customers WHERE parent_id IS NOT NULL
        UNION SELECT a.id, c.parent_id FROM above a JOIN billcore_customers c ON c.id = a.parent_id
        WHERE c.parent_id IS NOT NULL
    )
    SELECT id, 'stands above himself' FROM above WHERE id = parent_id
    UNION ALL SELECT c.id, 'has a parent who does not exist' FROM billcore_customers c
    LEFT JOIN billcore_customers p ON p.id = c.parent_id WHERE c.parent_id IS NOT NULL AND p.id IS NULL
    UNION ALL SELECT id, 'has no parent who could pay' FROM billcore_customers
    WHERE pays = 'parent' AND parent_id IS NULL
"""


def prove_groups(findings: Findings) -> None:
    """Prove who owes for subscriptions, and that parents lead somewhere."""
    findings.watch("groups", 0)
    tx = findings.tx
    row = tx.one(_RUNNING, [NEVER])
    findings.checked(PAYER, row[0] if row else 0)
    for sub_id, owes, payer in tx.stream(_OWED, [NEVER]):
        message = f"is owed by {owes}, but {payer or 'nobody'} pays for who subscribed"
        findings.add(PAYER, "subscription", sub_id, message)
    row = tx.one(_PLACED)
    findings.checked(PARENTS, row[0] if row else 0)
    for customer_id, message in tx.stream(_ASTRAY):
        findings.add(PARENTS, "customer", customer_id, message)
