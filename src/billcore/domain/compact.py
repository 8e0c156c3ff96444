"""JSON as the core writes it into rows: without spaces, in the order given."""

import json

# json.dumps builds an encoder at every call that names its separators; what rows hold never contains itself.
_ENCODER = json.JSONEncoder(separators=(",", ":"), check_circular=False)


def compact(value: object) -> str:
    """A value as JSON text without spaces."""
    return _ENCODER.encode(value)
