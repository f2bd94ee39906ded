"""The strict JSON decoder: rows that must be refused, and two other decoders as oracles."""

from __future__ import annotations

import json
import math
import time
from contextlib import suppress
from typing import Annotated, Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http.catalogue import PROBLEM_KINDS
from app.http.errors import FieldError, InvalidRequest, MalformedJson
from app.http.json import DEPTH_MAX, convert, decode_body, field_error, parse


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body as an endpoint declares it."""

    asset: str
    count: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)] | None = None


text = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**60), 10**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)


def strictest(body: bytes) -> Any:
    """Decode with the standard library and every refusal spelt out; the oracle."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        assert len(set(names)) == len(names)
        return dict(pairs)

    def refuse(name: str) -> None:
        raise ValueError(name)

    def walk(value: Any, depth: int) -> None:
        if isinstance(value, str):
            assert "\0" not in value
            value.encode()
        elif isinstance(value, dict | list):
            assert depth < DEPTH_MAX
            inner: list[Any] = list(cast("Any", value))
            if isinstance(value, dict):
                inner += cast("dict[str, Any]", value).values()
            for item in inner:
                walk(item, depth + 1)

    value = json.loads(body.decode(), object_pairs_hook=members, parse_constant=refuse)
    walk(value, 0)
    return value


@given(documents, st.booleans(), st.sampled_from([None, 1]))
def test_parse_reads_what_the_standard_library_writes(
    document: Any, ascii_only: bool, indent: int | None
) -> None:
    """A JSON text, in any spelling, is read as what was written."""
    body = json.dumps(document, ensure_ascii=ascii_only, indent=indent).encode()
    assert parse(body) == json.loads(body)


@given(st.data())
def test_parse_agrees_with_the_oracle_on_broken_texts(data: st.DataObject) -> None:
    """A damaged text is refused or read exactly as by an oracle that spells every rule out."""
    body = bytearray(
        json.dumps(data.draw(documents), ensure_ascii=data.draw(st.booleans())), "utf8"
    )
    junk = [*b'{}[]",:\\u0d8NaIe.-+ \x00\xff\xed', *b"\xef\xbb\xbf"]
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body)))
        body[at : at + data.draw(st.integers(0, 2))] = bytes(
            data.draw(st.lists(st.sampled_from(junk), max_size=6))
        )
    check_against_oracle(bytes(body))


@given(st.binary(max_size=40) | st.text('{}[]",:\\u0d8aNnI-0e1 ', max_size=40).map(str.encode))
def test_parse_agrees_with_the_oracle_on_any_bytes(body: bytes) -> None:
    """Arbitrary bytes never raise anything but MalformedJson, and only where the oracle refuses."""
    check_against_oracle(body)


def check_against_oracle(body: bytes) -> None:
    """Compare with the standard library, and with msgspec where both accept."""
    try:
        expected = strictest(body)
    except (ValueError, AssertionError, RecursionError):
        with pytest.raises(MalformedJson):
            parse(body)
        return
    assert repr(parse(body)) == repr(expected)
    if not any(math.isinf(number) for number in floats(expected)):
        # 1e400 is infinity to the standard library and an error to msgspec; no type takes either.
        assert msgspec.json.decode(body) == expected


def floats(value: Any) -> list[float]:
    """Find every float in plain data."""
    if isinstance(value, float):
        return [value]
    if isinstance(value, dict):
        return [f for item in cast("dict[str, Any]", value).values() for f in floats(item)]
    if isinstance(value, list):
        return [f for item in cast("list[Any]", value) for f in floats(item)]
    return []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"{}{}",
        b"{'a':1}",
        b'{"a":1,}',
        b"[1,]",
        b"01",
        b"+1",
        b".5",
        b"1.",
        b"0x10",
        b"NaN",
        b"[Infinity]",
        b'{"a":-Infinity}',
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"\\u0062":2}}',
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b'{"\\ud800":1}',
        b'["a\\u0000b"]',
        b'{"\\u0000":1}',
        b'"a\x00b"',
        b'"a\nb"',
        b'"\\x41"',
        b'"\\u00g0"',
        b'"\\u+123"',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1),
        b'{"a":' * (DEPTH_MAX + 1) + b"1" + b"}" * (DEPTH_MAX + 1),
        b"[" * 60_000,
        b'{"a":' * 12_000,
    ],
)
def test_parse_refuses_what_is_not_strict_json(body: bytes) -> None:
    """Whatever RFC 8259 or the contract forbids is MalformedJson, however deep or odd."""
    with pytest.raises(MalformedJson):
        parse(body)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b' {"a" : 1 } \r\n\t', {"a": 1}),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"\\\\u0000"', "\\u0000"),
        (b'"\\\\ud800"', "\\ud800"),
        (b'{"a":[{"a":1},{"a":2}]}', {"a": [{"a": 1}, {"a": 2}]}),
        (b"[" * DEPTH_MAX + b"]" * DEPTH_MAX, None),
        (b"[[]," + b"[" * (DEPTH_MAX - 1) + b"]" * DEPTH_MAX, None),
        (b"[" + b"[1]," * 5_000 + b"[1]]", [[1]] * 5_001),
        (b'["' + b"[{" * 5_000 + b'"]', ["[{" * 5_000]),
        (b'["' + b'\\"[' * 5_000 + b'"]', ['"[' * 5_000]),
        (b"-0", 0),
        (b"9223372036854775808", 2**63),
    ],
)
def test_parse_reads_what_is_strict_json(body: bytes, expected: Any) -> None:
    """Legal texts near a limit are read: escapes of escapes, brackets in strings, wide nesting."""
    value = parse(body)
    assert expected is None or value == expected


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 60_000,
        b'"\\' * 30_000,
        b'\\"' * 30_000,
        b"[" * 33 + b'"\\"' * 20_000,
        b"1" * 60_000,
        b"-" + b"1" * 60_000,
        b"[" + b"1e999," * 10_000 + b"1]",
        b'["' + b"\\u0041" * 10_000 + b'"]',
    ],
)
def test_parse_takes_time_in_proportion_to_the_body(body: bytes) -> None:
    """No 60 kB body, however it is made, keeps the decoder busy for long."""
    started = time.process_time()
    with suppress(MalformedJson):
        parse(body)
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    "count",
    [
        *("1.0", "1e0", "true", '"5"', "[]", "{}", "0", "-1", "9007199254740992"),
        *("9223372036854775808", "1" + "0" * 30, "1" * 5_000, "-" + "1" * 5_000, "1e400"),
    ],
)
def test_decode_body_refuses_what_is_no_integer_in_bounds(count: str) -> None:
    """Only a JSON integer within the bounds is accepted as an integer of a typed body."""
    with pytest.raises(InvalidRequest) as refusal:
        decode_body(f'{{"asset":"x","count":{count}}}'.encode(), Order)
    assert [error.field for error in refusal.value.errors] == ["count"]


def test_decode_body_gives_the_declared_type() -> None:
    """A body that fits becomes the declared struct, with its defaults."""
    assert decode_body(b'{"asset":"x","count":9007199254740991}', Order) == Order("x", 2**53 - 1)
    assert decode_body(b'{"asset":"x"}', Order) == Order("x")


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({}, "asset"),
        ({"asset": 5}, "asset"),
        ({"asset": "x", "count": "5"}, "count"),
        ({"asset": "x", "colour": 1}, "colour"),
        ([], ""),
        (None, ""),
        ("text", ""),
    ],
)
def test_convert_names_the_field_at_fault(value: Any, field: str) -> None:
    """The refusal says which member is missing, unknown or of the wrong type."""
    with pytest.raises(InvalidRequest) as refusal:
        convert(value, Order)
    assert refusal.value.errors[0].field == field
    assert "`" not in refusal.value.errors[0].message


def test_convert_names_one_of_several_faults() -> None:
    """Only the first fault found is named, as the problem's description says."""
    with pytest.raises(InvalidRequest) as refusal:
        convert({"asset": 5, "count": "5", "colour": 1}, Order)
    assert len(refusal.value.errors) == 1
    assert "the first such field found" in PROBLEM_KINDS["invalid-request"].description


class Parcel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body with a map in it, like those of transfers and grants."""

    to: str
    resources: dict[Annotated[str, msgspec.Meta(min_length=1)], Annotated[int, msgspec.Meta(ge=1)]]


@pytest.mark.parametrize(
    ("type_", "value", "error"),
    [
        (
            Parcel,
            {"to": "b", "resources": {"": 1}},
            FieldError("resources", "a name in it is not valid: Expected str of length >= 1"),
        ),
        (
            Parcel,
            {"to": "b", "resources": {"ore": 1, "wood": 0, "a.*": -1}},
            FieldError("resources.wood", "Expected int >= 1"),
        ),
        (
            Parcel,
            {"to": "b", "resources": {"ore": 1, "a.*": -1}},
            FieldError("resources.a.*", "Expected int >= 1"),
        ),
        (
            Parcel,
            {"to": "b", "resources": {"wood": "x"}},
            FieldError("resources.wood", "Expected int, got str"),
        ),
        (
            Parcel,
            {"to": "b", "resources": {"wood": 1}, "resources.*": 1},
            FieldError("resources.*", "Object contains unknown field resources.*"),
        ),
        (dict[str, Order], {"a": {}}, FieldError("*.asset", "Object missing required field asset")),
        (
            dict[str, int],
            {1: 1},
            FieldError("", "a name in it is not valid: Expected str, got int"),
        ),
    ],
)
def test_field_error_names_the_map_at_fault(type_: Any, value: Any, error: FieldError) -> None:
    """A fault in a map is named by the map's path for a key, and by the key for a value."""
    with pytest.raises(InvalidRequest) as refusal:
        convert(value, type_)
    assert refusal.value.errors == (error,)


def test_a_name_that_looks_like_a_place_is_told_as_the_name_it_is() -> None:
    """The unknown field itself is named, without searching the maps for it."""
    name = "x` - at `$.resources[...]"
    with pytest.raises(InvalidRequest) as refusal:
        convert({name: 1, "to": "b", "resources": {"wood": 0}}, Parcel)
    plain = name.replace("`", "")
    assert refusal.value.errors == (FieldError(name, f"Object contains unknown field {plain}"),)


def test_field_error_names_a_member_of_a_member() -> None:
    """A fault within a nested object is named by its whole path."""
    message = "Object missing required field `name` - at `$.resources[0]`"
    assert field_error(message) == FieldError(
        "resources[0].name", "Object missing required field name"
    )
