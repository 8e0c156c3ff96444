"""JSON as the core writes it into rows: without spaces, in the order given."""

import json
from json.encoder import c_make_encoder, encode_basestring_ascii  # type: ignore[attr-defined]  # not in its stub

_ENCODER = json.JSONEncoder(separators=(",", ":"), check_circular=False)
# What json.dumps makes anew at every call, half of its time for values as small as these; what rows hold never
# contains itself. An interpreter without it takes the usual way.
_CHUNKS = c_make_encoder and c_make_encoder(
    None, _ENCODER.default, encode_basestring_ascii, None, ":", ",", False, False, True
)


def compact(value: object) -> str:
    """A value as JSON text without spaces."""
    return "".join(_CHUNKS(value, 0)) if _CHUNKS else _ENCODER.encode(value)
