"""Stored customers and payment methods."""

from collections.abc import Iterable
from datetime import datetime
from string import ascii_lowercase, ascii_uppercase

from billcore.domain.customer import Customer, PaymentMethod
from billcore.store.database import Transaction
from billcore.store.records import BY_CLASS

_CUSTOMER = BY_CLASS[Customer]
_METHOD = BY_CLASS[PaymentMethod]
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


def get(tx: Transaction, ref: str) -> Customer | None:
    """The customer with this id or reference."""
    row = tx.one(f"{_CUSTOMER.select} WHERE id = ?", [ref]) if ref.startswith("cus_") else None
    row = row or tx.one(f"{_CUSTOMER.select} WHERE reference = ?", [ref])
    return _CUSTOMER.load(row) if row else None


def by_ids(tx: Transaction, ids: Iterable[str]) -> dict[str, Customer]:
    """Customers by id, in its order."""
    rows = tx.rows(f"{_CUSTOMER.select} WHERE id IN ?? ORDER BY id", [list(ids)])
    return {one.id: one for one in _CUSTOMER.load_all(rows)}


def line(tx: Transaction, customer: Customer) -> list[Customer]:
    """A customer, his parent, and so on upwards."""
    found = [customer]
    while (above := found[-1].parent_id) is not None and all(one.id != above for one in found):
        found += by_ids(tx, [above]).values()
    return found


def zones(tx: Transaction, ids: Iterable[str]) -> dict[str, str]:
    """The time zones of customers who have one of their own, by customer id."""
    rows = tx.rows("SELECT id, timezone FROM billcore_customers WHERE id IN ?? AND timezone IS NOT NULL", [list(ids)])
    return {row[0]: row[1] for row in rows}


def ids(tx: Transaction, after: str, limit: int) -> list[str]:
    """The ids of customers in order of creation, from the one behind `after` on."""
    rows = tx.rows("SELECT id FROM billcore_customers WHERE id > ? ORDER BY id LIMIT ?", [after, limit])
    return [row[0] for row in rows]


def references(tx: Transaction) -> list[str]:
    """All references, for naming the nearest ones of an unknown one."""
    return [row[0] for row in tx.rows("SELECT reference FROM billcore_customers ORDER BY id LIMIT 100000")]


def page(tx: Transaction, *, search: str | None, after: str | None, limit: int) -> list[Customer]:
    """Customers in order of creation; `search` matches part of the reference, name, organization or e-mail.

    Upper and lower case of the letters A to Z are the same.
    """
    where, parameters = ["id > ?"], [after or ""]
    if search:
        where.append(
            "(lower(name) LIKE ? ESCAPE '\\' OR lower(email) LIKE ? ESCAPE '\\' "
            "OR lower(organization) LIKE ? ESCAPE '\\' OR lower(reference) LIKE ? ESCAPE '\\')"
        )
        # As the databases do it: SQLite knows the case of A to Z alone, and so does PostgreSQL with collation "C".
        pattern = search.translate(_LOWER).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        parameters += [f"%{pattern}%"] * 4
    rows = tx.rows(f"{_CUSTOMER.select} WHERE {' AND '.join(where)} ORDER BY id LIMIT ?", [*parameters, limit])
    return _CUSTOMER.load_all(rows)


def delete(tx: Transaction, customer_id: str) -> None:
    """Remove a customer who has nothing, with the payment methods."""
    tx.execute("DELETE FROM billcore_payment_methods WHERE customer_id = ?", [customer_id])
    tx.execute("DELETE FROM billcore_customers WHERE id = ?", [customer_id])


def method(tx: Transaction, ref: str) -> PaymentMethod | None:
    """The payment method with this id or reference, unless it was removed."""
    sql = f"{_METHOD.select} WHERE id = ? AND status <> 'removed'"
    row = tx.one(sql, [ref]) if ref.startswith("pm_") else None
    row = row or tx.one(f"{_METHOD.select} WHERE reference = ?", [ref])
    return _METHOD.load(row) if row else None


def methods(tx: Transaction, customer_ids: Iterable[str]) -> dict[str, list[PaymentMethod]]:
    """Payment methods by customer id, in the order in which they are tried behind the default."""
    found: dict[str, list[PaymentMethod]] = {}
    sql = f"{_METHOD.select} WHERE customer_id IN ?? AND status <> 'removed' ORDER BY position, id"
    for method in _METHOD.load_all(tx.rows(sql, [list(customer_ids)])):
        found.setdefault(method.customer_id, []).append(method)
    return found


def refuse_method(tx: Transaction, method_id: str | None, at: datetime | None) -> None:
    """Note that a provider refused a method for good; None takes it back: it was charged all the same."""
    tx.execute("UPDATE billcore_payment_methods SET refused_at = ? WHERE id = ?", [at, method_id])


def by_token(tx: Transaction, gateway: str, token: str) -> list[PaymentMethod]:
    """The payment methods that a gateway knows by this token: removed ones last, else the newest first."""
    rows = tx.rows(f"{_METHOD.select} WHERE gateway = ? AND token = ? ORDER BY id DESC", [gateway, token])
    return sorted(_METHOD.load_all(rows), key=lambda one: one.status == "removed")


def gateway_customer(tx: Transaction, customer_id: str, gateway: str) -> str | None:
    """The gateway's own customer for whom methods of ours are kept, as the newest one says; removed ones count."""
    row = tx.one(
        "SELECT gateway_customer FROM billcore_payment_methods WHERE customer_id = ? AND gateway = ? "
        "AND gateway_customer IS NOT NULL ORDER BY id DESC LIMIT 1",
        [customer_id, gateway],
    )
    return row[0] if row else None


def remove_method(tx: Transaction, method: PaymentMethod) -> None:
    """Remove a payment method; subscriptions that had it as their own are charged to the default again."""
    tx.execute(
        "UPDATE billcore_subscriptions SET payment_method_id = NULL, version = version + 1 "
        "WHERE customer_id = ? AND payment_method_id = ?",
        [method.customer_id, method.id],
    )
    tx.execute("UPDATE billcore_payment_methods SET status = 'removed', reference = NULL WHERE id = ?", [method.id])
