"""What a cell sees when it is run again, as learners do: after all the later ones have been run."""

import ast
from collections.abc import Iterator
from typing import Any


class Names(ast.NodeVisitor):
    """Names of the notebook that a cell `reads` before it binds them, and those that it `binds`."""

    def __init__(self) -> None:
        self.reads: set[str] = set()
        self.binds: set[str] = set()
        self._own: list[set[str]] = []
        """Names of the functions and comprehensions that we are in."""

    def visit_Name(self, node: ast.Name) -> None:
        if any(node.id in names for names in self._own):
            return
        if isinstance(node.ctx, ast.Store):
            self.binds.add(node.id)
        elif node.id not in self.binds:
            self.reads.add(node.id)

    def _in_order(self, *nodes: ast.AST) -> None:
        """A value is read before the name that it goes to is bound, wherever it stands in the line."""
        for node in nodes:
            self.visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        self._in_order(node.value, *node.targets)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.visit(ast.Name(node.target.id, ast.Load()))
        self._in_order(node.value, node.target)

    def visit_For(self, node: ast.For) -> None:
        self._in_order(node.iter, node.target, *node.body, *node.orelse)

    def _within(self, own: set[str], *nodes: ast.AST) -> None:
        self._own.append(own)
        self._in_order(*nodes)
        self._own.pop()

    def _comprehension(self, node: Any) -> None:
        inside = [each for part in node.generators for each in (part.iter, *part.ifs)]
        made = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        self._within(bound(*(part.target for part in node.generators)), *inside, *made)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._within({each.arg for each in node.args.args}, node.body)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.binds.add(node.name)
        self._within({each.arg for each in node.args.args} | bound(*node.body), *node.body)


def bound(*nodes: ast.AST) -> set[str]:
    """All names that something binds, however deep."""
    names = (each for node in nodes for each in ast.walk(node) if isinstance(each, ast.Name))
    return {each.id for each in names if isinstance(each.ctx, ast.Store)}


def not_run_again(notebook: Any) -> Iterator[str]:
    """Cells that read a name of an earlier cell which a later one gives another meaning: run again, they would show a
    wrong number or fail."""
    found = {}
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            found[number] = Names()
            found[number].visit(ast.parse(cell.source))
    for number, names in found.items():
        for name in sorted(names.reads):
            binders = [k for k, each in found.items() if name in each.binds]
            if any(k < number for k in binders) and (later := [k for k in binders if k >= number]):
                yield f"cell {number} reads {name}, which cell {later[0]} binds anew: give one of them another name"
