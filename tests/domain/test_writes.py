"""What a unit of work wants written: each record once, as it was last."""

from attrs import evolve

from billcore.domain.customer import Customer
from billcore.domain.invoice import Invoice
from billcore.domain.writes import Writes
from tests.builders import customer, invoice


def test_a_record_changed_twice_is_written_once_as_last_put() -> None:
    writes = Writes()
    writes.put(invoice(paid=1))
    writes.put(invoice(paid=2))
    assert [one.paid for one in writes.changed(Invoice)] == [2]
    assert writes.new(Invoice) == []


def test_a_change_of_what_is_new_is_part_of_its_insert() -> None:
    writes = Writes()
    writes.add(invoice())
    writes.put(evolve(invoice(), paid=3000))
    assert [one.paid for one in writes.new(Invoice)] == [3000]
    assert writes.changed(Invoice) == []


def test_records_are_kept_by_class_and_counted() -> None:
    writes = Writes()
    assert not writes and list(writes) == []
    writes.add(customer())
    writes.put(invoice())
    assert writes and {type(one) for one in writes} == {Customer, Invoice}
