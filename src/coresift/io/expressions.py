"""Expressions over columns, as users write them, turned into pyarrow's.

The syntax is a subset of Python's: comparisons (chained too), ``and or not``, ``in`` a list,
``is None``, arithmetic and a few functions. ``=`` alone, ``AND``, ``OR``, ``NOT``, ``IN`` and
``IS NULL`` of SQL are understood as well. Names are columns; a name that is not an identifier
goes in backquotes.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import pyarrow as pa

from coresift.core.errors import ParameterError
from coresift.io import compute as pc


def _float(value: Any) -> Any:
    return value.cast(pa.float64()) if isinstance(value, pc.Expression) else float(value)


def _divide(numerator: Any, denominator: Any) -> Any:
    if isinstance(numerator, pc.Expression) or isinstance(denominator, pc.Expression):
        # pyarrow's own operator stops at a zero; this one gives an infinity
        return pc.divide(_float(numerator), _float(denominator))
    return numerator / denominator


_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: _divide,
    ast.Pow: lambda a, b: pc.power(_float(a), b),
}
_SQL = [
    (re.compile(r"\bIS\s+NOT\s+NULL\b", re.IGNORECASE), " is not None"),
    (re.compile(r"\bIS\s+NULL\b", re.IGNORECASE), " is None"),
    (re.compile(r"\bAND\b"), "and"),
    (re.compile(r"\bOR\b"), "or"),
    (re.compile(r"\bNOT\b"), "not"),
    (re.compile(r"\bIN\b"), "in"),
    (re.compile(r"<>"), "!="),
    (re.compile(r"(?<![=<>!])=(?!=)"), "=="),
]
_LITERAL = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`[^`]+`")


@cache
def _functions() -> dict[str, tuple[int, Callable[..., Any]]]:
    """By name, how many arguments each takes, and pyarrow's."""
    return {
        "abs": (1, pc.abs),
        "exp": (1, lambda a: pc.exp(_float(a))),
        "log": (1, lambda a: pc.ln(_float(a))),
        "sqrt": (1, lambda a: pc.sqrt(_float(a))),
        "min": (2, pc.min_element_wise),
        "max": (2, pc.max_element_wise),
        "length": (1, pc.utf8_length),
        "lower": (1, pc.utf8_lower),
        "startswith": (2, lambda a, b: pc.starts_with(a, _text(b))),
        "contains": (2, lambda a, b: pc.match_substring(a, _text(b))),
    }


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("the second argument must be a text in quotes")
    return value


def parse(text: str, schema: pa.Schema, option: str) -> tuple[pc.Expression, list[str]]:
    """Turn an expression into pyarrow's and list the columns it reads.

    Parameters
    ----------
    text : str
        For example ``label == 3 and score > 0.5``.
    schema : pyarrow.Schema
        The columns there are.
    option : str
        The option it was given to, for messages.

    Raises
    ------
    ParameterError
        When the text cannot be read, or names a column that is not there.
    """
    quoted: dict[str, str] = {}

    def protect(match: re.Match[str]) -> str:
        token = match[0]
        if token.startswith("`"):
            alias = f"_quoted_{len(quoted)}"
            quoted[alias] = token[1:-1]
            return alias
        return token

    pieces: list[str] = []
    position = 0
    for match in _LITERAL.finditer(text):
        pieces += [_from_sql(text[position : match.start()]), protect(match)]
        position = match.end()
    pieces.append(_from_sql(text[position:]))
    columns: dict[str, None] = {}
    try:
        tree = ast.parse("".join(pieces).strip(), mode="eval")
        expression = _Translator(schema, quoted, columns, option).visit(tree.body)
    except ParameterError:
        raise
    except RecursionError:
        raise ParameterError(f"{option}: the expression is nested too deeply") from None
    except (SyntaxError, ValueError, TypeError, ArithmeticError, pa.ArrowException) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ParameterError(
            f"{option} {text!r} cannot be read: {reason}",
            hint=f'write for example {option} "label == 3 and score > 0.5"',
        ) from None
    if not isinstance(expression, pc.Expression) or not columns:
        raise ParameterError(f"{option} {text!r} names no column")
    try:
        _type_of(expression, schema, columns)
    except pa.ArrowException as error:
        types = ", ".join(f"{name} is {schema.field(name).type}" for name in columns)
        raise ParameterError(
            f"{option} {text!r} does not go with the columns' types: {error}", hint=types
        ) from None
    return expression, list(columns)


def _type_of(expression: pc.Expression, schema: pa.Schema, columns: Iterable[str]) -> pa.DataType:
    fields = pa.schema([schema.field(name) for name in columns])
    return evaluate(pa.RecordBatch.from_pylist([], schema=fields), expression).type


def _from_sql(text: str) -> str:
    for pattern, replacement in _SQL:
        text = pattern.sub(replacement, text)
    return text


class _Translator(ast.NodeVisitor):
    def __init__(
        self, schema: pa.Schema, quoted: dict[str, str], columns: dict[str, None], option: str
    ) -> None:
        self.schema = schema
        self.quoted = quoted
        self.columns = columns
        self.option = option

    def generic_visit(self, node: ast.AST) -> Any:
        raise ValueError(f"{ast.unparse(node)!r} is not understood here")

    def visit_Name(self, node: ast.Name) -> Any:
        name = self.quoted.get(node.id, node.id)
        if name not in self.schema.names:
            known = ", ".join(self.schema.names[:12])
            raise ParameterError(
                f"{self.option}: no column {name!r}", hint=f"the columns are {known}"
            )
        self.columns[name] = None
        return pc.field(name)

    def visit_Constant(self, node: ast.Constant) -> Any:
        return node.value

    def visit_List(self, node: ast.List | ast.Tuple) -> Any:
        return [self.visit(item) for item in node.elts]

    visit_Tuple = visit_List  # noqa: N815

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        value = self.visit(node.operand)
        if isinstance(node.op, ast.Not):
            return ~value
        if isinstance(node.op, ast.USub):
            return pc.negate(value) if isinstance(value, pc.Expression) else -value
        return self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        result, *rest = [self.visit(value) for value in node.values]
        for value in rest:
            result = result & value if isinstance(node.op, ast.And) else result | value
        return result

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        operation = _ARITHMETIC.get(type(node.op))
        if operation is None:
            return self.generic_visit(node)
        left, right = self.visit(node.left), self.visit(node.right)
        if isinstance(right, pc.Expression) and not isinstance(left, pc.Expression):
            left = pc.scalar(left)
        return operation(left, right)

    def visit_Compare(self, node: ast.Compare) -> Any:
        left = self.visit(node.left)
        result: Any = None
        for operator, comparator in zip(node.ops, node.comparators, strict=True):
            part = self._compare(left, operator, comparator)
            result = part if result is None else result & part
            left = self.visit(comparator)
        return result

    def _compare(self, left: Any, operator: ast.cmpop, comparator: ast.expr) -> Any:
        right = self.visit(comparator)
        if isinstance(operator, ast.In | ast.NotIn):
            if not isinstance(left, pc.Expression) or not isinstance(right, list):
                raise ValueError("'in' stands between a column and a list such as [1, 2]")
            found = left.isin(right)
            return found if isinstance(operator, ast.In) else ~found
        if right is None:
            if not isinstance(left, pc.Expression):
                raise ValueError("only a column is compared with None")
            null = left.is_null()
            if isinstance(operator, ast.Is | ast.Eq):
                return null
            if isinstance(operator, ast.IsNot | ast.NotEq):
                return ~null
            raise ValueError("None has no order; write 'is None' or 'is not None'")
        compare = _COMPARE.get(type(operator))
        if compare is None:
            raise ValueError("only None can follow 'is'")
        return compare(self._moment(left, right), self._moment(right, left))

    def _moment(self, value: Any, other: Any) -> Any:
        """Text that is compared with a date or a time, as one."""
        if isinstance(value, str) and isinstance(other, pc.Expression):
            kind = _type_of(other, self.schema, self.columns)
            if pa.types.is_temporal(kind):
                return pc.scalar(pa.scalar(value).cast(kind))
        return value

    def visit_Call(self, node: ast.Call) -> Any:
        name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
        arity, function = _functions().get(name, (0, None))
        if function is None:
            raise ValueError(f"no function {name!r}; there are {', '.join(sorted(_functions()))}")
        if len(node.args) != arity or node.keywords:
            raise ValueError(f"{name} takes {arity} argument{'s' if arity > 1 else ''}")
        return function(*[self.visit(argument) for argument in node.args])


def evaluate(batch: pa.RecordBatch, expression: pc.Expression) -> pa.Array:
    """Value of an expression for each row of a batch."""
    from pyarrow import acero

    table = pa.Table.from_batches([batch])
    plan = acero.Declaration.from_sequence(
        [
            acero.Declaration("table_source", acero.TableSourceNodeOptions(table)),
            acero.Declaration("project", acero.ProjectNodeOptions([expression], ["value"])),
        ]
    )
    values = plan.to_table(use_threads=False).column("value")
    return values.combine_chunks() if values.num_chunks != 1 else values.chunk(0)
