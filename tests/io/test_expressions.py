"""Expressions over columns, in Python's and SQL's spelling."""

from __future__ import annotations

import pyarrow as pa
import pytest

from coresift.core.errors import ParameterError
from coresift.io.expressions import evaluate, parse

DAY = 19723 * 86400  # the first of January 2024
BATCH = pa.record_batch(
    {
        "a": pa.array([1, 2, 3, None]),
        "b": pa.array([1.5, -2.0, 0.0, 4.0]),
        "text": pa.array(["x=1", "AND", None, "it's"]),
        "time": pa.array([DAY, DAY + 86400, DAY + 90000, None], pa.timestamp("s")),
        "odd name": pa.array([True, False, True, False]),
    }
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a == 2", [False, True, False, None]),
        ("a = 2", [False, True, False, None]),
        ("a <> 2 AND b > 0", [True, False, False, None]),
        ("1 < a <= 3", [False, True, True, None]),
        ("a in [1, 3]", [True, False, True, False]),
        ("a NOT IN (1, 3)", [False, True, False, True]),
        ("a is None", [False, False, False, True]),
        ("text IS NOT NULL", [True, True, False, True]),
        ("text == 'AND'", [False, True, None, False]),
        ("text = 'x=1'", [True, False, None, False]),
        ('text == "it\'s"', [False, False, None, True]),
        ("not `odd name`", [False, True, False, True]),
        ("abs(b) + a * 2", [3.5, 6.0, 6.0, None]),
        ("-b / 2", [-0.75, 1.0, 0.0, -2.0]),
        ("startswith(text, 'x')", [True, False, None, False]),
        ("a / 0 > 1", [True, True, True, None]),
        ("a / 2 > 1 / 2", [False, True, True, None]),
        ("time >= '2024-01-02'", [False, True, True, None]),
        ("'2024-01-02' > time", [True, False, False, None]),
    ],
)
def test_values(text: str, expected: list[object]) -> None:
    expression, _ = parse(text, BATCH.schema, "--where")
    assert evaluate(BATCH, expression).to_pylist() == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("c > 1", "--where: no column 'c'"),
        ("a >", "--where 'a >' cannot be read: invalid syntax"),
        ("1 > 2", "--where '1 > 2' names no column"),
        ("getattr(a)", "--where 'getattr(a)' cannot be read: no function 'getattr'"),
        ("a.b > 1", "--where 'a.b > 1' cannot be read: 'a.b' is not understood here"),
        ("abs(a, b)", "--where 'abs(a, b)' cannot be read: abs takes 1 argument"),
        ("a < None", "--where 'a < None' cannot be read: None has no order"),
        ("3 in a", "--where '3 in a' cannot be read: 'in' stands between a column and a list"),
        ("a in 3", "--where 'a in 3' cannot be read: 'in' stands between a column and a list"),
        ("None is None", "--where 'None is None' cannot be read: only a column is compared"),
        ("a > 1 / 0", "--where 'a > 1 / 0' cannot be read: division by zero"),
        ("time > 'noon'", "--where \"time > 'noon'\" cannot be read: Failed to parse string"),
        ("a" + " + a" * 20_000, "--where: the expression is nested too deeply"),
        ("text > 3", "--where 'text > 3' does not go with the columns' types: Function 'greater'"),
        ("not a", "--where 'not a' does not go with the columns' types: Function 'invert'"),
        ("a in ['x']", "--where \"a in ['x']\" does not go with the columns' types: Array type"),
    ],
)  # fmt: skip
def test_messages(text: str, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        parse(text, BATCH.schema, "--where")
    assert caught.value.message.startswith(message)
