"""Where the functions that an ejected loop calls come from: an import, or their own source.

    torch.mean, math.sqrt, …            written as that, with its import
    of an installed package             `from package import name`
    of a recipe, a script, a notebook   the source of the function, and of all that it uses
    partial(fn, 2), a frozen dataclass  a constant, made of what can be taken

What cannot be taken along is refused, all of it at once: lambdas and closures have no source of
their own, and an object with a state of its own would not be the same one.
"""

from __future__ import annotations

import ast
import builtins
import dataclasses
import functools
import inspect
import keyword
import math
import operator
import re
import symtable
import sys
import textwrap
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from nvn.callsite import CallSite
from nvn.errors import Problem
from nvn.planner.ir import is_literal, quoted

# What the loop may call by a dotted name, and the import that it needs.
NAMESPACES: Mapping[str, tuple[types.ModuleType, str]] = types.MappingProxyType(
    {
        "F": (F, "import torch.nn.functional as F"),
        "torch": (torch, "import torch"),
        "torch.linalg": (torch.linalg, "import torch"),
        "torch.special": (torch.special, "import torch"),
        "math": (math, "import math"),
        "operator": (operator, "import operator"),
    }
)
TOP_LEVEL = "a function defined at the top level of a module"


class RefusedError(Exception):
    """Something cannot be taken along."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class Taken:
    """What a file takes along, as it is asked for.

    Attributes:
        imports: The lines that import, by the name that each binds.
        definitions: The source of functions, classes and constants, by name, each after those that
            it needs when it is defined.

    Args:
        reserved: Names that nothing of the user's may have.
    """

    def __init__(self, reserved: Iterator[str] | frozenset[str] = frozenset()) -> None:
        self.imports: dict[str, str] = {}
        self.definitions: dict[str, str] = {}
        self._reserved = {*reserved}
        self._things: dict[str, Any] = {}  # what each name of the file stands for

    # --- things as expressions ---

    def written(self, thing: Any) -> str:
        """Return Python that gives `thing`, taking along what that needs.

        Raises:
            RefusedError: It cannot be taken along.
        """
        if is_literal(thing):
            return quoted(thing) if isinstance(thing, str) else repr(thing)
        if isinstance(thing, torch.dtype | torch.device):
            self.imports["torch"] = "import torch"
            return str(thing) if isinstance(thing, torch.dtype) else f"torch.{thing!r}"
        if type(thing) in (list, tuple):
            inside = ", ".join(map(self.written, thing))
            if isinstance(thing, list):
                return f"[{inside}]"
            return f"({inside},)" if len(thing) == 1 else f"({inside})"
        if type(thing) is dict:
            pairs = (f"{self.written(k)}: {self.written(v)}" for k, v in thing.items())
            return f"{{{', '.join(pairs)}}}"
        if type(thing) is functools.partial:
            return self._partial(thing)
        if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
            return self._instance(thing)
        return self.name(thing)

    def _partial(self, thing: functools.partial[Any]) -> str:
        given = [self.written(thing.func), *map(self.written, thing.args)]
        given += [f"{name}={self.written(value)}" for name, value in thing.keywords.items()]
        self.imports["partial"] = "from functools import partial"
        return f"partial({', '.join(given)})"

    def _instance(self, thing: Any) -> str:
        kind = type(thing)
        if not kind.__dataclass_params__.frozen:
            raise self._refusal(
                thing,
                f"an object of {kind.__name__}, whose attributes may change",
                "a frozen dataclass, which is what its fields are",
                f"write `@dataclass(frozen=True)` above `class {kind.__name__}`",
            )
        fields = [f for f in dataclasses.fields(thing) if f.init]
        given = [f"{f.name}={self.written(getattr(thing, f.name))}" for f in fields]
        return f"{self.name(kind)}({', '.join(given)})"

    def constant(self, thing: Any, name: str) -> str:
        """Return the name of a constant of the file that is `thing`, called `name` if it is free.

        Raises:
            RefusedError: It cannot be taken along.
        """
        written = self.written(thing)
        if "(" not in written:  # a name itself
            return written
        for known, source in self.definitions.items():
            if source == f"{known} = {written}":
                return known
        name = self._free(name)
        self.definitions[name] = f"{name} = {written}"
        self._things[name] = thing
        return name

    # --- things that have names ---

    def name(self, thing: Any) -> str:
        """Return the name of a function or a class, taking along where it comes from.

        Raises:
            RefusedError: It cannot be taken along.
        """
        dotted = _dotted(thing)
        if dotted is not None:
            space, _, _ = dotted.rpartition(".")
            if space:
                line = NAMESPACES[space][1]
                self.imports[line.split()[-1]] = line
            return dotted
        for name, known in self._things.items():
            if known is thing:
                return name
        self._require_name(thing)
        name = str(thing.__name__)
        if _installed(thing.__module__) and self._things.get(name, thing) is thing:
            self._things[name] = thing
            self.imports[name] = f"from {thing.__module__} import {name}"
            return name
        return self._defined(thing, self._free(name))

    def _defined(self, thing: Any, name: str) -> str:
        """Take along the source of a function or a class; return the name that it has now."""
        try:
            source = textwrap.dedent(inspect.getsource(thing)).rstrip()
        except (OSError, TypeError):
            found = f"`{thing.__name__}`, whose source is nowhere to be read"
            raise self._refusal(
                thing, found, TOP_LEVEL, "write it in a file, not at the prompt"
            ) from None
        self._check_decorators(thing, ast.parse(source).body[0])
        if name != thing.__name__:
            if thing.__name__ in free_names(source):
                found = f"`{thing.__name__}`, which calls itself by a name that is taken here"
                edit = f"rename it, to `{name}` say"
                raise self._refusal(thing, found, "a name of its own", edit)
            head = rf"^((?:async )?def|class) {thing.__name__}\b"
            source = re.sub(head, rf"\1 {name}", source, count=1, flags=re.MULTILINE)
        self._things[name] = thing
        self._follow(source, vars(sys.modules[thing.__module__]), thing)
        self.definitions[name] = source
        return name

    def follow(self, names: Mapping[str, Any], user: Any) -> None:
        """Take along what the names in an expression of `user` stand for.

        Raises:
            RefusedError: One cannot be taken along, or not under its name.
        """
        for name, value in names.items():
            self._bring(name, value, user)

    def _follow(self, source: str, scope: Mapping[str, Any], user: Any) -> None:
        """Take along all that a source uses of its module's names."""
        for name in free_names(source):
            if name in scope and name not in self.imports:
                self._bring(name, scope[name], user, scope.get("__name__"))

    def _bring(self, name: str, value: Any, user: Any, module: str | None = None) -> None:
        """Let a name mean in the file what it means where it is used."""
        if self._things.get(name) is value and value is not None:
            return
        if isinstance(value, types.ModuleType):
            self._bring_module(name, value, user)
        elif callable(value) and _is_named(value) and not isinstance(value, types.GenericAlias):
            dotted = _dotted(value)
            if dotted == name:  # a builtin
                return
            if dotted is not None or (value.__name__ != name and _installed(value.__module__)):
                origin = _origin(value)
                renamed = "" if value.__name__ == name else f" as {name}"
                self.imports[name] = f"from {origin} import {value.__name__}{renamed}"
                return
            known = self.name(value)
            if known != name:
                if self._free(name) != name:
                    found = f"`{name}`, a name that is taken in the file of the loop"
                    edit = f"rename `{name}`, to `own_{name}` say"
                    raise self._refusal(user, found, "names of their own", edit)
                self.definitions[name] = f"{name} = {known}"
        else:
            self._bring_constant(name, value, user, module)

    def _bring_module(self, name: str, module: types.ModuleType, user: Any) -> None:
        full = module.__name__
        if not _installed(full):
            raise self._refusal(
                user,
                f"`{name}`, the module {full}, which may not be where the loop is",
                "modules of installed packages",
                f"import from {full} what is used of it: `from {full} import …`",
            )
        direct = full if name == full else f"{full} as {name}"
        self.imports[name] = f"import {direct}"

    def _bring_constant(self, name: str, value: Any, user: Any, module: str | None) -> None:
        home = getattr(value, "__module__", None)
        if home in ("typing", "collections.abc") and getattr(value, "__name__", None) == name:
            self.imports[name] = f"from {home} import {name}"
            return
        source = _assignment(name, module)
        # A statement that calls nothing gives the same value again.
        if source is not None and not _calls(source):
            self._things[name] = value
            self._follow(source, vars(sys.modules[str(module)]), user)
            self.definitions[name] = source
            return
        try:
            written = self.written(value)
        except RefusedError:
            raise self._refusal(
                user,
                f"`{name}`, {_kind(value)}",
                "functions, numbers, strings, and tuples of such, as what a function uses",
                "pass it as an argument, or write it into the function",
            ) from None
        self._things[name] = value
        self.definitions[name] = f"{name} = {written}"

    # --- refusals ---

    def _require_name(self, thing: Any) -> None:
        """Refuse what cannot be named in a file."""
        if inspect.ismethod(thing):
            found = f"`{thing.__name__}`, a method of an object of {type(thing.__self__).__name__}"
            raise self._refusal(thing, found, TOP_LEVEL, "let a function do what the method does")
        if not _is_named(thing):
            raise self._refusal(
                thing,
                _kind(thing),
                f"{TOP_LEVEL}, or an object of a frozen dataclass",
                f"write `@dataclass(frozen=True)` above `class {type(thing).__name__}`, its "
                "state as fields",
            )
        if thing.__name__ == "<lambda>":
            edit = "write it as `def name(…):` at the top level of its file"
            raise self._refusal(thing, "a lambda", TOP_LEVEL, edit)
        if "<locals>" in thing.__qualname__ or "." in thing.__qualname__:
            inside = thing.__qualname__.rpartition(".")[0].removesuffix(".<locals>")
            raise self._refusal(
                thing,
                f"`{thing.__name__}`, which is defined inside of `{inside}`",
                TOP_LEVEL,
                "move it to the top level; what it takes from around it, a frozen dataclass with "
                "a method __call__ can hold as fields",
            )

    def _check_decorators(self, thing: Any, tree: ast.stmt) -> None:
        decorators = getattr(tree, "decorator_list", [])
        plain = {"dataclass", "formula"} if isinstance(tree, ast.ClassDef) else {"contextmanager"}
        for decorator in decorators:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if getattr(called, "id", None) not in plain:
                raise self._refusal(
                    thing,
                    f"`{thing.__name__}`, decorated by `@{ast.unparse(called)}`",
                    f"{TOP_LEVEL}, undecorated",
                    "give the game the function without the decorator",
                )

    def _refusal(self, thing: Any, found: str, expected: str, edit: str) -> RefusedError:
        return RefusedError(Problem(where(thing), found, expected, edit))

    def _free(self, wanted: str) -> str:
        wanted = f"{wanted}_" if keyword.iskeyword(wanted) else wanted
        name, count = wanted, 1
        while name in self._reserved or name in self._things or name in self.imports:
            count += 1
            name = f"{wanted}_{count}"
        return name


# --- small things ---


def where(thing: Any) -> str:
    """Say where something is written: file and line, or what it is."""
    thing = thing.func if isinstance(thing, functools.partial) else thing
    thing = inspect.unwrap(thing) if callable(thing) else thing
    code = getattr(getattr(thing, "__func__", thing), "__code__", None)
    if code is not None:
        return str(CallSite(code.co_filename, code.co_firstlineno))
    kind = thing if isinstance(thing, type) else type(thing)
    try:
        return str(CallSite(inspect.getfile(kind), inspect.getsourcelines(kind)[1]))
    except (OSError, TypeError):
        return kind.__qualname__


def _is_named(thing: Any) -> bool:
    return isinstance(getattr(thing, "__qualname__", None), str) and hasattr(thing, "__module__")


def _kind(thing: Any) -> str:
    kind = type(thing).__name__
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"


def _dotted(thing: Any) -> str | None:
    """Return a name like torch.mean of what is in a namespace, or a builtin's own."""
    name = getattr(thing, "__name__", None)
    if not isinstance(name, str):
        return None
    if getattr(builtins, name, None) is thing:
        return name
    home = str(getattr(thing, "__module__", None)).partition(".")[0].lstrip("_")
    for space, (module, _) in NAMESPACES.items():
        # What a module has only imported, from collections.abc say, is not its own.
        if home not in ("None", "torch", "math", "operator"):
            return None
        for known in (name, name.removeprefix(f"{space.rpartition('.')[2]}_")):  # linalg_norm
            if getattr(module, known, None) is thing:
                return f"{space}.{known}"
    return None


def _origin(thing: Any) -> str:
    dotted = _dotted(thing)
    if dotted is None:
        return str(thing.__module__)
    space = dotted.rpartition(".")[0]
    return NAMESPACES[space][0].__name__


def _installed(module: str | None) -> bool:
    """Tell whether a module is Python's own, or of a package that is installed beside nvn."""
    top = str(module).partition(".")[0]
    if top in sys.stdlib_module_names:
        return True
    if top in ("nvn", "nvn_recipes", "__main__", "None"):
        return False
    found = sys.modules.get(top)
    file = getattr(found, "__file__", None)
    return file is not None and not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)


def _calls(source: str) -> bool:
    return any(isinstance(x, ast.Call) for x in ast.walk(ast.parse(source)))


def free_names(source: str) -> list[str]:
    """Return the names that a source reads and does not bind itself, in order of their letters."""
    found: set[str] = set()
    tables = [symtable.symtable(source, "<source>", "exec")]
    while tables:
        table = tables.pop()
        outside = table.get_type() == "module"
        found |= {
            symbol.get_name()
            for symbol in table.get_symbols()
            if symbol.is_referenced() and (symbol.is_global() or outside)
        }
        tables += table.get_children()
    return sorted(found)


def _assignment(name: str, module: str | None) -> str | None:
    """Return the statement by which a module gives a name its value, if there is one such."""
    if module is None:
        return None
    try:
        source = inspect.getsource(sys.modules[module])
    except (KeyError, OSError, TypeError):
        return None
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            targets = [node.target]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return ast.get_source_segment(source, node)
    return None
