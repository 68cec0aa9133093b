"""Where the children of a live module were constructed, found in the source of its classes.

A module that exists already was not recorded. Its class has the constructor calls; where several of them come into question
and nothing decides, the call of the module around them is given instead.
"""

from __future__ import annotations

import ast
import inspect
import sys
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import torch

from ._text import Text, Use, is_foreign, last_name, text

Function: TypeAlias = "ast.FunctionDef | ast.AsyncFunctionDef"
Node = TypeVar("Node", ast.expr, ast.stmt, ast.Call, ast.Return, ast.Assign, ast.AugAssign)
#: Most assignments and calls that are followed from a module to its constructor.
MOST_STEPS = 8
CONTAINERS = (torch.nn.Sequential, torch.nn.ModuleList, torch.nn.ModuleDict)


@dataclass(frozen=True, eq=False)
class Scope:
    """A function of a file, and the functions around it and methods beside it."""

    text: Text
    function: Function
    known: dict[str, Function]


@dataclass(frozen=True, eq=False)
class Call:
    """A call in a scope, that constructs a module or leads to its construction."""

    node: ast.Call
    scope: Scope

    @property
    def use(self) -> Use:
        return Use(last_name(self.node.func) or "call", self.scope.text.callee(self.node))


#: Calls, innermost first: the constructor, then the factories that were called for it.
Chain: TypeAlias = "list[Call]"


class Constructors:
    """The constructor calls of a model's modules."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._uses: dict[int, list[Use]] = {id(model): []}
        self._visit(model, [])

    def uses(self, module: torch.nn.Module) -> list[Use]:
        """The calls that constructed a module, innermost first."""
        return self._uses.get(id(module), [])

    def _visit(self, module: torch.nn.Module, own: Chain) -> None:
        around = self._uses[id(module)]
        for name, child in module.named_children():
            if id(child) in self._uses:
                continue
            chain = _chain(module, own, name, child)
            self._uses[id(child)] = [*(call.use for call in chain), *around]
            self._visit(child, chain)


def definition(owner: Any) -> tuple[Text, ast.AST] | None:
    """The statement that defines a class or function, and its text."""
    try:
        file = inspect.getsourcefile(owner)
    except TypeError:
        return None
    if file is None:
        return None
    found = text(file)
    node: ast.AST = found.tree
    for part in getattr(owner, "__qualname__", "").split("."):
        if part == "<locals>":
            continue
        # Of several definitions of one name the last one is in force.
        inside = [child for child in _statements(node) if getattr(child, "name", None) == part]
        if not inside:
            return None
        node = inside[-1]
    return found, node


def _statements(node: ast.AST) -> list[ast.AST]:
    """Definitions directly inside of ``node``, also behind ``if`` and the like."""
    found: list[ast.AST] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            found.append(child)
        elif isinstance(child, ast.stmt):
            found.extend(_statements(child))
    return found


def _functions(nodes: list[ast.AST]) -> dict[str, Function]:
    return {node.name: node for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


def _scopes(owner: type) -> list[Scope]:
    """The methods of a class, its constructor first."""
    found = definition(owner)
    if found is None or not isinstance(found[1], ast.ClassDef):
        return []
    source, node = found
    methods = _functions(_statements(node))
    known = {**_functions(list(ast.walk(source.tree))), **methods}
    order = sorted(methods.values(), key=lambda method: (method.name != "__init__", method.lineno))
    return [Scope(source, method, known) for method in order]


def _chain(parent: torch.nn.Module, own: Chain, name: str, child: torch.nn.Module) -> Chain:
    if type(parent) in CONTAINERS:
        return _element(own[0], name, parent, child) if own else []
    for owner in type(parent).__mro__:
        file = getattr(sys.modules.get(owner.__module__), "__file__", None)
        if owner is torch.nn.Module or (file is not None and is_foreign(file)):
            continue
        for scope in _scopes(owner):
            chain = _best([_resolve(value, scope, child) for value in _assigned(scope, name)], child)
            if chain:
                return chain
            if isinstance(parent, CONTAINERS):
                for call in _nodes(scope, ast.Call):
                    if ast.unparse(call.func) == "super().__init__":
                        chain = _element(Call(call, scope), name, parent, child)
                        if chain and chain[0].node is not call:
                            return chain
    return []


def _nodes(scope: Scope, kind: type[Node]) -> list[Node]:
    """Nodes of a kind in a function, in the order in which they are written."""
    nodes = [node for node in ast.walk(scope.function) if isinstance(node, kind)]
    return sorted(nodes, key=lambda node: (node.lineno, node.col_offset))


def _assigned(scope: Scope, name: str) -> list[ast.expr]:
    """What is assigned to ``self.NAME``, or added under this name."""
    values: list[ast.expr] = []
    for node in _nodes(scope, ast.stmt):
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets, value = [node.target], node.value
        else:
            continue
        for target in targets:
            if isinstance(target, ast.Attribute) and target.attr == name and isinstance(target.value, ast.Name):
                values.append(value)
    for call in _nodes(scope, ast.Call):
        if last_name(call.func) in ("add_module", "register_module") and len(call.args) == 2:
            if _is_text(call.args[0], name):
                values.append(call.args[1])
        elif last_name(call.func) == "setattr" and len(call.args) == 3 and _is_text(call.args[1], name):
            values.append(call.args[2])
    return values


def _is_text(node: ast.expr | None, name: str) -> bool:
    """Whether a literal is this text, or one with parts that are computed may be."""
    if isinstance(node, ast.JoinedStr):
        fixed = [part.value for part in node.values if isinstance(part, ast.Constant)]
        return all(str(part) in name for part in fixed)
    return isinstance(node, ast.Constant) and node.value == name


def _best(chains: list[Chain], child: torch.nn.Module) -> Chain:
    """The chain that ends in the class of the module; the only one, if there is only one."""
    chains = [chain for chain in chains if chain]
    exact = [chain for chain in chains if _is_exact(chain, child)]
    if exact:
        return exact[0]
    return chains[0] if len(chains) == 1 else []


def _is_exact(chain: Chain, child: torch.nn.Module) -> bool:
    return bool(chain) and last_name(chain[0].node.func) == type(child).__name__


def _resolve(value: ast.expr, scope: Scope, child: torch.nn.Module, depth: int = 0) -> Chain:
    """The calls behind an expression that make ``child``."""
    if depth > MOST_STEPS:
        return []
    if isinstance(value, ast.IfExp):
        return _best([_resolve(part, scope, child, depth + 1) for part in (value.body, value.orelse)], child)
    if isinstance(value, ast.BoolOp):
        return _best([_resolve(part, scope, child, depth + 1) for part in value.values], child)
    if isinstance(value, ast.Name):
        values = _values_of(scope, value.id)
        return _best([_resolve(part, scope, child, depth + 1) for part in values], child)
    if not isinstance(value, ast.Call):
        return []
    own = Call(value, scope)
    called = last_name(value.func)
    factory = scope.known.get(called)
    if factory is None and isinstance(value.func, ast.Name):
        # `make = lambda width: nn.Conv2d(width, width, 3)`
        bodies = [made.body for made in _values_of(scope, called) if isinstance(made, ast.Lambda)]
        if bodies:
            return [*_best([_resolve(body, scope, child, depth + 1) for body in bodies], child), own]
    if called == type(child).__name__ or factory is None:
        return [own]
    inside = Scope(scope.text, factory, {**scope.known, **_functions(_statements(factory))})
    returned = [node.value for node in _nodes(inside, ast.Return) if node.value is not None]
    return [*_best([_resolve(part, inside, child, depth + 1) for part in returned], child), own]


def _values_of(scope: Scope, name: str) -> list[ast.expr]:
    """What a function assigns to a variable."""
    values: list[ast.expr] = []
    for node in _nodes(scope, ast.Assign):
        if any(isinstance(target, ast.Name) and target.id == name for target in node.targets):
            values.append(node.value)
    return values


def _element(call: Call, name: str, parent: torch.nn.Module, child: torch.nn.Module) -> Chain:
    """The calls that made an element of a container; those of the container if they cannot be told apart."""
    scope = call.scope
    items = _items(call)
    coarse = [call]
    for key, value in items:
        if key is not None and _is_text(key, name):
            return _resolve(value, scope, child) or coarse
    values = [value for key, value in items if key is None]
    chains = [_resolve(value, scope, child) for value in values]
    index = int(name) if name.isdecimal() else -1
    if len(values) == len(list(parent.children())) and 0 <= index < len(values) and chains[index]:
        return chains[index]
    exact = [chain for chain in chains if _is_exact(chain, child)]
    if len(exact) == 1:
        return exact[0]
    # As many calls as children of this class: in the same order.
    same = [other for other in parent.children() if type(other) is type(child)]
    if len(exact) == len(same):
        return exact[next(place for place, other in enumerate(same) if other is child)]
    if not exact and len([chain for chain in chains if chain]) == 1:
        return next(chain for chain in chains if chain)
    return coarse


#: An element of a container, with its key.
Item: TypeAlias = "tuple[ast.expr | None, ast.expr]"


def _items(call: Call) -> list[Item]:
    """The elements of a container, as far as they are written in one function."""
    items: list[Item] = []
    for argument in call.node.args:
        items.extend(_of_list(argument, call.scope, isinstance(argument, ast.Starred)))
    # `self.blocks = nn.ModuleList()`, and elements that are appended.
    for node in _nodes(call.scope, ast.Assign):
        if node.value is call.node:
            for target in node.targets:
                items.extend(_appended(call.scope, ast.unparse(target)))
    return items


def _of_list(value: ast.expr, scope: Scope, starred: bool, depth: int = 0) -> list[Item]:
    # `layers = list(layers)` has no end.
    if depth > MOST_STEPS:
        return []
    if isinstance(value, ast.Starred):
        return _of_list(value.value, scope, True, depth + 1)
    if isinstance(value, (ast.ListComp, ast.GeneratorExp)):
        return [(None, value.elt)]
    if isinstance(value, ast.DictComp):
        return [(value.key, value.value)]
    if isinstance(value, (ast.List, ast.Tuple)):
        return [item for element in value.elts for item in _of_element(element, scope)]
    if isinstance(value, ast.Dict):
        return [(key, element) for key, element in zip(value.keys, value.values, strict=True)]
    if isinstance(value, ast.Call) and last_name(value.func) in ("OrderedDict", "list", "tuple", "dict") and value.args:
        return _of_list(value.args[0], scope, True, depth + 1)
    if isinstance(value, ast.Name):
        lists = [part for part in _values_of(scope, value.id) if isinstance(part, (ast.List, ast.ListComp, ast.Call))]
        lists = [part for part in lists if starred or not isinstance(part, ast.Call)]
        items = [item for part in lists for item in _of_list(part, scope, True, depth + 1)]
        items.extend(_appended(scope, value.id))
        if items:
            return items
    return [] if starred else [(None, value)]


def _of_element(element: ast.expr, scope: Scope) -> list[Item]:
    """An element of a list: a module, or a pair of a name and a module."""
    if isinstance(element, ast.Starred):
        return _of_list(element.value, scope, True)
    if isinstance(element, ast.Tuple) and len(element.elts) == 2:
        return [(element.elts[0], element.elts[1])]
    return [(None, element)]


def _appended(scope: Scope, target: str) -> list[Item]:
    """What is appended to a list, in the order in which it is written."""
    found: list[tuple[int, Item]] = []
    for call in _nodes(scope, ast.Call):
        method = call.func
        if not isinstance(method, ast.Attribute) or ast.unparse(method.value) != target:
            continue
        if method.attr == "append" and len(call.args) == 1:
            found.append((call.lineno, (None, call.args[0])))
        elif method.attr == "extend" and len(call.args) == 1:
            found.extend((call.lineno, item) for item in _of_list(call.args[0], scope, True))
        elif method.attr == "add_module" and len(call.args) == 2:
            found.append((call.lineno, (call.args[0], call.args[1])))
    for node in _nodes(scope, ast.AugAssign):
        if ast.unparse(node.target) == target:
            found.extend((node.lineno, item) for item in _of_list(node.value, scope, True))
    return [item for _, item in sorted(found, key=lambda pair: pair[0])]
