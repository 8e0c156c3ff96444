"""Expected against actual: every difference with its path. Only keys that are given are compared."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from billcore.scenario.shapes import DOCUMENTS, NAMED, Shape, balance
from billcore.scenario.story import Failure

World = Mapping[str, object]
Table = Mapping[str, object]

_ABSENT = "nothing"


def compare(expect: World, actual: World, zone: str) -> list[Failure]:
    """The differences between an expectation and a world in the same shape. Quotes are the runner's.

    Documents are compared in order of creation and must be complete unless named in `partial`; the lines of one
    document are a complete set in any order.
    """
    partial = expect.get("partial", ())
    failures: list[Failure] = []
    for key, shape in DOCUMENTS.items():
        if key in expect:
            wanted, found = _tables(expect[key]), _tables(actual[key])
            whole = not isinstance(partial, Sequence) or key not in partial
            failures += _in_order(wanted, found, shape, zone, key) if whole else _among(wanted, found, shape, zone, key)
    for key, shape in NAMED.items():
        known = actual[key]
        assert isinstance(known, Mapping)
        for name, table in _items(expect.get(key, {})):
            if name not in known:
                failures.append(Failure(f"{key}.{name}", table, _ABSENT))
            else:
                failures += differences(table, known[name], shape, zone, f"{key}.{name}")
    return failures


def differences(wanted: Table, found: Table, shape: Shape, zone: str, path: str) -> list[Failure]:
    """The differences between two tables, in the keys that the first one gives."""
    failures: list[Failure] = []
    for key, value in wanted.items():
        at = f"{path}.{key}"
        if key == "lines" and shape.lines is not None:
            failures += _as_set(_tables(value), _tables(found.get("lines", ())), shape.lines, zone, at)
        elif not _equal(shape, key, value, found.get(key), zone):
            failures.append(Failure(at, value, found.get(key, "none")))
    return failures


def _equal(shape: Shape, key: str, wanted: object, found: object, zone: str) -> bool:
    canon = shape.keys[key]
    if canon is balance:
        return _same_balance(canon(wanted, zone), found, zone)
    return canon(wanted, zone) == (None if found is None else canon(found, zone))


def _same_balance(wanted: object, found: object, zone: str) -> bool:
    """Balances by currency; one amount alone stands for the only currency there is."""
    assert isinstance(found, Mapping)
    amounts = {code: balance(amount, zone) for code, amount in found.items()}
    if isinstance(wanted, Mapping):
        codes = {*wanted, *amounts}
        return all(wanted.get(code, Decimal(0)) == amounts.get(code, Decimal(0)) for code in codes)
    held = [amount for amount in amounts.values() if amount]
    return wanted == (held[0] if len(held) == 1 else Decimal(0)) and len(held) <= 1


def _in_order(wanted: Sequence[Table], found: Sequence[Table], shape: Shape, zone: str, path: str) -> Iterator[Failure]:
    if len(wanted) != len(found):
        yield Failure(f"{path}.length", len(wanted), len(found))
    for number in range(max(len(wanted), len(found))):
        at = f"{path}[{number}]"
        if number >= len(found):
            yield Failure(at, wanted[number], _ABSENT)
        elif number >= len(wanted):
            yield Failure(at, _ABSENT, found[number])
        else:
            yield from differences(wanted[number], found[number], shape, zone, at)


def _among(wanted: Sequence[Table], found: Sequence[Table], shape: Shape, zone: str, path: str) -> Iterator[Failure]:
    """Each wanted one stands somewhere after the one before it."""
    place = 0
    for number, table in enumerate(wanted):
        match = next((i for i in range(place, len(found)) if not differences(table, found[i], shape, zone, "")), None)
        if match is None:
            yield Failure(f"{path}[{number}]", table, list(found[place:]) or _ABSENT)
        else:
            place = match + 1


def _as_set(wanted: Sequence[Table], found: Sequence[Table], shape: Shape, zone: str, path: str) -> Iterator[Failure]:
    """Lines in any order: those that fit are paired first, the rest with what is nearest."""
    gaps = [[len(differences(w, f, shape, zone, "")) for f in found] for w in wanted]
    pairs = _perfect_pairs(gaps)
    free = [j for j in range(len(found)) if j not in pairs.values()]
    for i, table in enumerate(wanted):
        if i in pairs:
            continue
        if not free:
            yield Failure(f"{path}[{i}]", table, _ABSENT)
            continue
        nearest = min(free, key=lambda j: (gaps[i][j], j))
        free.remove(nearest)
        yield from differences(table, found[nearest], shape, zone, f"{path}[{i}]")
    for j in free:
        yield Failure(f"{path}[{max(len(wanted), j)}]", _ABSENT, found[j])


def _perfect_pairs(gaps: Sequence[Sequence[int]]) -> dict[int, int]:
    """As many pairs without a difference as there can be: wanted place -> found place."""
    taken: dict[int, int] = {}

    def place(i: int, tried: set[int]) -> bool:
        for j, gap in enumerate(gaps[i]):
            if gap or j in tried:
                continue
            tried.add(j)
            if j not in taken or place(taken[j], tried):
                taken[j] = i
                return True
        return False

    for i in range(len(gaps)):
        place(i, set())
    return {i: j for j, i in taken.items()}


def _tables(value: object) -> Sequence[Table]:
    assert isinstance(value, Sequence)
    return value


def _items(value: object) -> Iterator[tuple[str, Table]]:
    assert isinstance(value, Mapping)
    yield from value.items()
