"""The rules of the gateway contract, each with what to do when it is broken: what a failing check says."""

from typing import NoReturn

from attrs import frozen

GUIDE = "docs/howto/write-a-gateway.md"


@frozen
class Rule:
    """A rule in one sentence, what to do about a plugin that breaks it, and the page that tells more."""

    text: str
    do: str
    guide: str = GUIDE


def broken(rule: Rule, seen: str) -> NoReturn:
    """Fail with the rule, what was seen, and what to do."""
    __tracebackhide__ = True
    raise AssertionError(f"{rule.text}\n  seen: {seen}\n  do:   {rule.do}\n  more: {rule.guide}")


def check(holds: bool, rule: Rule, seen: str) -> None:
    """Fail unless it holds."""
    __tracebackhide__ = True
    if not holds:
        broken(rule, seen)


# -- building ---------------------------------------------------------------------------------------------------

REGISTERED = Rule(
    "A gateway is found by its name through its entry point.",
    "Offer a GatewaySpec from a function marked with hookimpl, in the module that the entry point of the group "
    "`billcore` names; `billcore plugins` shows what was found, and why something was not.",
)
STRICT_CONFIGURATION = Rule(
    "A configuration key that the gateway does not know is refused, and named.",
    "Let the GatewaySpec name an attrs class of its own with one field for each key; leave reading it to the registry.",
)
QUIET_BUILDING = Rule(
    "Building a gateway makes no network call.",
    "Open connections at the first verb; check keys and versions there too.",
)
DECLARED = Rule(
    "What a gateway declares it has, and the declaration never changes.",
    "Make `capabilities` a frozenset of Capability, settled when the object is built, with the verbs of each.",
)
UNDECLARED = Rule(
    "A verb that is not declared is not offered.",
    "Declare the capability, or leave the verb out; perform() refuses what is not declared.",
)
TYPED = Rule(
    "A plugin ships its types.",
    "Put an empty file `py.typed` beside the plugin's modules and into its wheel.",
)
SECRET = Rule(
    "A secret is never shown: not in a repr, a log, an exception or what is printed.",
    "Declare it as Secret in the configuration, keep the Secret itself, and reveal() it only in the call. Raise errors "
    "with texts of your own `from None` where the provider's exception holds the request.",
)
OWN_STATE = Rule(
    "Two gateway objects share nothing.",
    "Keep clients, keys and caches on the object, never in the module, the class or the SDK's globals.",
)
THREADS = Rule(
    "Verbs are called from several threads at once, and each answer belongs to its own request.",
    "Keep nothing about a request on the object; guard what is shared with a lock, or open one connection per call.",
)

# -- answers ----------------------------------------------------------------------------------------------------

ANSWER_TYPES = Rule(
    "An answer has exactly the contract's types, with an amount above zero and at most what was asked for.",
    "Return Approved, Pending, ActionRequired or declined(...); amounts are integers of minor units.",
)
THREE_ERRORS = Rule(
    "Only three errors leave a gateway: GatewayNotSent, GatewayUnknown, GatewayMisconfigured.",
    "Translate the provider's exceptions in one place. What you cannot place is GatewayUnknown, never a decline.",
)
APPROVED = Rule(
    "An approved charge says what was taken: the amount and currency asked for, and the provider's id.",
    "Return Approved with the provider's id and the amount it says it took; send request.amount.minor as it is where "
    "it counts minor units.",
)
PROVIDER_TOOK = Rule(
    "The provider takes exactly the amount that was asked for, once.",
    "Look at what your request sends; amounts never pass through a float or a fixed factor of 100.",
)
MINOR_UNITS = Rule(
    "Amounts are minor units of their currency: 0, 2 or 3 decimals.",
    "Send minor units as they are; where the provider wants a decimal text, format_minor(minor, currency) writes it.",
)
DECLINE_IS_A_VALUE = Rule(
    "A decline is a value, not an exception.",
    "Catch the provider's card error and return declined(code, message): a decline is a fact, and dunning begins with "
    "it; an exception means that nobody knows.",
)
DECLINE_CODE = Rule(
    "A decline has a standard code, and its kind follows from it.",
    "Map the provider's codes to DeclineCode with a table, GENERIC_DECLINE for what is not in it, and build the value "
    "with declined().",
)
DECLINE_TAKES_NOTHING = Rule(
    "A declined charge took nothing, and a lookup says so.",
    "Report Declined only when the provider has ended the attempt; what may still succeed is Pending.",
)
UNKNOWN_METHOD = Rule(
    "A method that the provider does not know is declined hard.",
    'Translate the provider\'s "no such payment method" to declined(DeclineCode.METHOD_UNKNOWN).',
)
PENDING = Rule(
    "What is under way is Pending, and a lookup says the same.",
    "Return Pending(gateway_id) until the provider has settled; never Approved for what was only accepted.",
)
ACTION = Rule(
    "Where the customer has to confirm, the answer is ActionRequired with an http or https link.",
    "Return ActionRequired(gateway_id, url) with the page that the provider names.",
)
UNSEEN_STATUS = Rule(
    "A status that the gateway has never seen is Pending: it must neither settle nor fail an invoice.",
    "End the match over the provider's statuses with `case _: return Pending(...)`.",
)
OWN_CHARGE = Rule(
    "Two attempts are two charges, even of the same customer, method and amount.",
    "Tell the provider's charges apart by idempotency_key and attempt_id alone.",
)
SAME_KEY = Rule(
    "The same idempotency key is the same charge.",
    "Send request.idempotency_key as the provider's idempotency key, and never a key of your own, nor a fresh one for "
    "another try. Of a provider without such keys do not declare IDEMPOTENCY_KEYS.",
)
KEY_OF_ONE_REQUEST = Rule(
    "A key that was used with another amount is refused with GatewayMisconfigured, and nothing is taken.",
    "Translate the provider's idempotency conflict to GatewayMisconfigured.",
)

# -- lookups ----------------------------------------------------------------------------------------------------

LOOKUP_AGREES = Rule(
    "A lookup says what became of the attempt, in the same words as the charge.",
    "Read both answers with one function, from the provider's object to an outcome.",
)
LOOKUP_BY_OUR_ID = Rule(
    "A lookup finds the attempt by our id: after a lost answer there is no other.",
    "Store request.attempt_id at the provider (metadata, order id) and search by it; gateway_id and sent_at are hints.",
)
LOOKUP_FINDS_NOTHING = Rule(
    "A lookup of an attempt that never arrived is AttemptNotFound with the id that was asked for.",
    "Return AttemptNotFound(request.attempt_id) when the provider's search is complete and has nothing.",
)
LOOKUP_TELLS_APART = Rule(
    "A lookup answers for the attempt that was asked about.",
    "Compare the id stored at the provider with request.attempt_id; the newest or the only charge is not good enough.",
)
LOOKUP_CHANGES_NOTHING = Rule(
    "A lookup changes nothing at the provider.",
    "Only read in lookup; sending again is billcore's decision.",
)
LOOKUP_ACROSS_PROCESSES = Rule(
    "Another object, in another process, finds the attempt.",
    "Ask the provider in lookup; nothing that a charge remembered in memory survives a restart.",
)
LOOKUP_FAILS_ALOUD = Rule(
    "A lookup that could not ask raises; AttemptNotFound is said only by a provider that answered.",
    'Raise GatewayNotSent or GatewayUnknown: "not found" lets billcore count the charge as failed and try another.',
)

# -- faults -----------------------------------------------------------------------------------------------------

NOT_SENT = Rule(
    "What was surely not carried out is GatewayNotSent.",
    "Raise it for a refused connection, a name that does not resolve, and 429: then billcore may send again.",
)
MISCONFIGURED = Rule(
    "Refused credentials are GatewayMisconfigured.",
    "Raise it for 401 and 403: nobody's card is to blame, and no customer is told.",
)
UNKNOWN = Rule(
    "A lost or unreadable answer is GatewayUnknown: the money may have moved.",
    "Raise it for a time-out, a cut connection, any 5xx and an answer that cannot be read. Never return a decline for "
    "them, and never GatewayNotSent.",
)
ONE_CHARGE = Rule(
    "After a lost answer the lookup and the same key show exactly one charge.",
    "Send the key and the attempt id with every request, so that the provider can recognize the second one.",
)
SLOW = Rule(
    "A slow answer is an answer.",
    "Let the client wait longer than the provider takes at its slowest, and less than 30 seconds.",
)

# -- refunds, voids, captures, cancellation -----------------------------------------------------------------------

REFUND_AMOUNT = Rule(
    "A refund gives back what was asked for, in full or in part.",
    "Send request.amount with the refund, and report what the provider says it gave back.",
)
REFUND_TOO_MUCH = Rule(
    "More than is left of a charge is declined, and nothing moves.",
    "Translate the provider's refusal to declined(DeclineCode.TRANSACTION_NOT_ALLOWED).",
)
REFUND_ONCE = Rule(
    "The same idempotency key is the same refund.",
    "Send request.idempotency_key with refunds too.",
)
REFUND_FOUND = Rule(
    "A refund is found by its own attempt id, and the charge it belongs to stays what it was.",
    "Store request.attempt_id with the refund and read Lookup.verb; a refunded charge is still Approved.",
)
VOID = Rule(
    "A void gives the whole charge back before it settles; the same key is the same void.",
    "Return Approved when nothing stays taken, and a decline when the charge has settled.",
)
CAPTURE = Rule(
    "A capture takes an authorized charge, all of it or a part, and never more.",
    "Return Approved with what was captured; an authorization that was not captured is Pending.",
)
CANCEL = Rule(
    "A canceled attempt can no longer succeed; what has ended is told as it ended.",
    "Return declined(DeclineCode.CANCELED) when it was ended, Approved when it was too late, AttemptNotFound for an "
    "attempt that the provider has never seen; repeated, the same.",
)

# -- methods ----------------------------------------------------------------------------------------------------

VAULTED = Rule(
    "A kept method says what it is, and no more of a card than its last four digits.",
    "Return Vaulted with the token that charges are to name, and the provider's customer.",
)
VAULT_ONCE = Rule(
    "Keeping a method again is the same method and the same customer at the provider.",
    "Find the provider's customer by our customer_id (metadata, idempotency key) before you make one.",
)
VAULT_REFUSES = Rule(
    "A token that cannot be kept raises MethodRefused.",
    "Translate the provider's refusal to MethodRefused: it is nobody's time-out, and trying again does not help.",
)
DESCRIBED = Rule(
    "A kept method is described as it stands; one that is not there is MethodNotFound.",
    "Return Vaulted as `vault` did, and MethodNotFound(request.token) for what is gone.",
)
DETACHED = Rule(
    "A forgotten method can no longer be charged, and forgetting it again is no error.",
    'Translate the provider\'s "no such method" in detach to success.',
)
VAULT_OWNERS = Rule(
    "Each customer has a customer of his own at the provider, and a method is charged for its owner alone.",
    "Send request.gateway_customer with the charge, and let the provider compare.",
)
VERIFIED = Rule(
    "A bank account is charged only after its owner confirmed the small deposits.",
    "Answer `unverified` until the provider has verified the account, also after a wrong answer.",
)
HOSTED = Rule(
    "A hosted page is an http or https link of the provider's.",
    "Return Page(url, gateway_customer) and hand return_url on to the provider.",
)
UPDATED = Rule(
    "Methods that changed at the provider are listed as METHOD events.",
    "Return a list of WebhookEvent of the kind METHOD, with the token of each.",
)

# -- webhooks ---------------------------------------------------------------------------------------------------

WEBHOOK_READ = Rule(
    "A signed delivery about a charge is an event that names the attempt, by our id or by the provider's.",
    "Return [WebhookEvent(key, WebhookKind.ATTEMPT, ...)] with attempt_id or gateway_id.",
)
WEBHOOK_LIST = Rule(
    "parse_webhook returns a list, and checks the signature before it returns.",
    "Return a list; a generator would check the signature only when somebody reads the events.",
)
WEBHOOK_SIGNATURE = Rule(
    "A delivery whose signature does not hold is rejected, whatever its body says.",
    "Verify the signature over the raw body first, with verify_hmac_sha256 or the SDK; raise WebhookRejected.",
)
WEBHOOK_AGE = Rule(
    "A signature that is older than five minutes, or from the future, is rejected.",
    "Call verify_age(seconds, request.received_at) after the signature was checked.",
)
WEBHOOK_OTHER = Rule(
    "A signed event of a kind that means nothing here is no event, and no error.",
    "Return [] for types you do not know: the provider adds new ones without asking.",
)
WEBHOOK_KEY = Rule(
    "An event keeps its key however often it is delivered, and no two events have the same.",
    "Take the provider's id of the event as the key.",
)
WEBHOOK_QUIET = Rule(
    "parse_webhook makes no network call.",
    "Return pointers only; billcore asks again with lookup and describe.",
)
WEBHOOK_ROTATION = Rule(
    "While a secret is rotated, deliveries signed with either are accepted.",
    "Configure several secrets and hand all of them to verify_hmac_sha256.",
)
