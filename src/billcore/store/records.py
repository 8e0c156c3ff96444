"""The mappers of all record classes, in the order in which they can be written."""

from billcore.domain.change import Change
from billcore.domain.credit import Allocation, Credit
from billcore.domain.customer import Customer, PaymentMethod
from billcore.domain.discount import AppliedCoupon
from billcore.domain.dunning import DunningCase
from billcore.domain.event import AuditRecord, Event, StateChange
from billcore.domain.inbox import InboxEvent
from billcore.domain.invoice import Coverage, CreditNote, Invoice, Line, Renewal
from billcore.domain.ledger import Entry
from billcore.domain.payment import Payment
from billcore.domain.refund import Refund
from billcore.domain.subscription import Item, Subscription
from billcore.domain.usage import UsageEvent
from billcore.store import tables
from billcore.store.mapping import JSON_CODEC, Mapper

MAPPERS: tuple[Mapper, ...] = (
    Mapper(Customer, tables.customers, codecs={"custom_fields": JSON_CODEC}),
    Mapper(PaymentMethod, tables.payment_methods),
    Mapper(Subscription, tables.subscriptions),
    Mapper(Item, tables.items),
    Mapper(Invoice, tables.invoices),
    Mapper(AppliedCoupon, tables.coupons, attributes={"coupon_id": "coupon.id"}),
    Mapper(CreditNote, tables.credit_notes),
    Mapper(Line, tables.lines),
    Mapper(Coverage, tables.coverage),
    Mapper(Renewal, tables.renewals),
    Mapper(Payment, tables.payments),
    Mapper(Refund, tables.refunds),
    Mapper(Credit, tables.credits),
    Mapper(Allocation, tables.allocations),
    Mapper(DunningCase, tables.dunning_cases),
    Mapper(Entry, tables.entries),
    Mapper(UsageEvent, tables.usage, codecs={"properties": JSON_CODEC}),
    Mapper(Change, tables.changes),
    Mapper(StateChange, tables.state_changes),
    Mapper(Event, tables.events),
    Mapper(AuditRecord, tables.audit),
    Mapper(InboxEvent, tables.inbox),
)

BY_CLASS = {mapper.record: mapper for mapper in MAPPERS}
