"""Lowering: from the turns of an iteration to its program.

A turn is lowered in order: what is missing is computed, the backward passes are run, then
the movers step. Of D's turn in a GAN, `real(D(real)) + fake(D(G(z)))`:

    G_z = G(z)                                   # for G's turn with a graph …
    G_z_const = G_z, detached                    # … for D's without
    D_G_z_const = D(G_z_const)
    D_grads = backward from 1 real_D_real, 1 fake_D_G_z_const to D
    step D along D_grads

Where one node takes the value of another, this stands in for it:

    the edge                                             what the node is given
    no gradient flows back through it in any turn        the value; a Detach of it if it has a graph
    gradients flow back through it, passes go straight   the value itself
    the passes through it are mixed anew (a cut)         a Leaf, shared by all that mix in one way
    it leads from the x of a ∂y/∂x toward y             the x that is differentiated by: a Leaf
                                                         where nothing flows on behind it, else an
                                                         Alias (see `_source`)
    it lies further along from x to y                    the value itself: y needs its graph
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from nvn import pytree
from nvn.game.graph import LossGraph, fingerprints, hashed
from nvn.game.ops import Apply, Batch, Call, Gradient, Item, Noise, Sample, StopGradient
from nvn.game.traversal import gradients_of, owner
from nvn.game.values import Energy, Value, Weight
from nvn.planner import ir
from nvn.planner.analysis import IterationAnalysis, Part
from nvn.planner.backward import EdgeKind
from nvn.planner.basis import Coefficient, Pass
from nvn.planner.distribution import distributed
from nvn.planner.ir import Factor, Instruction, Program, Scale, Slot
from nvn.planner.liveness import freed
from nvn.planner.names import RESERVED, Names
from nvn.planner.partition import united
from nvn.planner.turns import Turn, TurnPlan
from nvn.planner.value_numbering import Number

LARGE = 2**16
"""Parameters from which on a player's backward passes are taken apart where they share no graph.

Each call of autograd costs about ten microseconds, whatever it does; the backward pass of one part
of a move before the next part is computed saves the memory of the first part's graph."""

LONGEST = 40  # characters of a slot's name; beyond that arguments are left out
ONE = Scale((Factor(1.0),))


def lower(
    graph: LossGraph,
    turns: Sequence[Turn],
    *,
    steps: bool = True,
    large: int = LARGE,
    apart: bool = False,
    together: bool = False,
    taken: Collection[str] = (),
    named: Mapping[int, str] | None = None,
) -> tuple[Program, tuple[TurnPlan, ...]]:
    """Lower the turns of an iteration to its program; return what each turn does, too.

    Args:
        graph: The game.
        turns: Who descends what, one after the other.
        steps: Whether players step; else gradients are only taken.
        large: Parameters from which on passes that share no graph are calls of their own.
        apart: Whether each player's gradient takes passes of its own, each whole.
        together: Whether several processes play, each on its share of a batch.
        taken: Names that nothing in the program may have.
        named: Names that constants must have, by the id of what they stand for.
    """
    analysis = IterationAnalysis(graph, turns, steps=steps, large=large, apart=apart)
    lowering = _Iteration(analysis, taken=taken, named=named or {})
    plans = tuple(_Turn(lowering, index).lowered() for index in range(len(turns)))
    return lowering.program(together=together and steps), plans


# --- an iteration -----------------------------------------------------------------------------


class _Iteration:
    """What the turns of an iteration share while they are lowered."""

    def __init__(
        self,
        analysis: IterationAnalysis,
        *,
        taken: Collection[str],
        named: Mapping[int, str],
    ) -> None:
        self.graph = graph = analysis.graph
        self.turns = analysis.turns
        self.steps = analysis.steps
        self.analysis = analysis
        self.keys = fingerprints(graph.nodes)
        self.out: list[Instruction] = []
        self.names = Names([*RESERVED, *taken, *named.values()])
        self.players = {p.name: self.names.fresh(p.name) for p in graph.players}
        for player in self.players.values():
            for end in ("params", "places"):  # what else the loop knows of a player (emit.py)
                self.names.reserve(f"{player}_{end}")
        self.slots: dict[Hashable, Slot] = {}
        self.constants: dict[str, Any] = {}
        self.constant_names = dict(named)
        # What module parameters do now: a RequiresGrad is written only where that changes.
        self.requires_grad = {p.name: True for p in graph.players if p.name in graph.learnable}
        # The version of its buffers that each player's module holds at this point.
        self.held_buffers: dict[str, Number] = {}
        self.uses_of_buffers = Counter(
            version.starts[node]
            for version, now in self.analysis.computed_by_turn()
            for node in now
            if node in version.starts
        )
        self.kept_buffers = {
            number
            for version in self.analysis.versions
            if analysis.steps
            for number in version.kept.values()
        }
        self.recorded: dict[Number, Slot] = {}
        self.energies: dict[str, Slot] = {}
        self.objectives: dict[str, ir.Mixture] = {}
        self.gradients: dict[str, Slot] = {}

    def emit(self, instruction: Instruction) -> None:
        self.out.append(instruction)

    def slot(self, key: Hashable, name: str) -> Slot:
        """Return the slot of something; a new one the first time."""
        if key not in self.slots:
            self.slots[key] = Slot(self.names.fresh(name))
        return self.slots[key]

    def constant(self, thing: Any, name: str) -> ir.Constant:
        """Return the constant that stands for `thing`."""
        if id(thing) not in self.constant_names:
            self.constant_names[id(thing)] = self.names.fresh(name)
        given = self.constant_names[id(thing)]
        self.constants[given] = thing
        return ir.Constant(given)

    def require_grad(self, player: str, value: bool) -> None:
        """Write that a player's parameters require gradients or not, if that is news."""
        if self.requires_grad.get(player, value) is not value:
            self.requires_grad[player] = value
            self.emit(ir.RequiresGrad(player, value))

    def program(self, *, together: bool) -> Program:
        """Return the program, once all turns are lowered."""
        for player in self.requires_grad:
            self.require_grad(player, True)  # as they were found
        returned = ir.Return(self.energies, self.objectives, self.gradients)
        # A number that a later turn's stands in place of is not recorded at all.
        kept = {*returned.reads}
        out = [x for x in self.out if not isinstance(x, ir.Record) or x.out in kept]
        out.append(returned)
        if together:
            out = distributed(out, self.names)
        moves = " → ".join(str(turn.move) for turn in self.turns) or "nobody moves"
        title = f"{self.graph.name}: {moves}"
        return Program(title, tuple(freed(out)), self.constants, self.players)


# --- a turn -----------------------------------------------------------------------------------


class _Turn:
    """Lowers one turn."""

    def __init__(self, iteration: _Iteration, index: int) -> None:
        self.it = iteration
        self.analysis = iteration.analysis
        self.index = index
        self.turn = self.analysis.turns[index]
        self.version = self.analysis.versions[index]
        self.back = self.analysis.backward_plans[index]
        self.pending = dict(self.analysis.computed[index])
        # What the calls of this turn make of buffers: others may start with it.
        self.makes = {self.version.ends[n]: n for n in self.pending if n in self.version.ends}
        self.parts = self.analysis.parts[index]
        self.home = self.analysis.home[index]
        self.slopes = gradients_of(self.pending)
        self.weights = self._weights()
        # Cotangents that earlier passes have left, by the leaf and the part of its taker.
        self.left: dict[tuple[Slot, int], dict[Pass, Slot]] = {}
        self.totals: dict[str, Slot | None] = {}
        self.scaled = self._scaled_players()
        self.through_gradients: Counter[str] = Counter()

    def _weights(self) -> dict[Energy, list[Value]]:
        """Return the values that weigh each energy, for anybody."""
        found: dict[Energy, list[Value]] = {}
        for terms in self.turn.terms.values():
            for term in terms:
                found.setdefault(term.energy, []).extend(term.weight.values)
        return found

    def lowered(self) -> TurnPlan:
        """Write: take a batch, compute and backpropagate, step."""
        computed = tuple(self.pending)
        reused = tuple(n for n in self.version.numbers if n not in self.pending)
        self.it.emit(ir.Comment(self.turn.lines(self.it.graph.names)))
        if self.turn.takes:
            self.it.emit(ir.NextBatch(self.turn.takes))
        for part in self._parts_in_order():
            self._compute_for(self._wanted_by([part]))
            self._go_back(part)
        self._compute_for(self.turn.wanted)
        self._objectives()
        self._finish()
        return TurnPlan(self.turn, computed, reused, self.back, self.through_gradients)

    def _finish(self) -> None:
        if not self.it.steps:
            self.it.gradients |= {p: total for p, total in self.totals.items() if total is not None}
            return
        if len(self.turn.terms) > 1:
            self.it.emit(ir.RequirePaths(tuple((p, self.totals[p]) for p in self.turn.terms)))
        for player in self.turn.terms:
            optimizer = self.turn.optimizer(player)
            self.it.emit(ir.Step(player, self.totals[player], optimizer))
        for player, number in self.version.kept.items():
            if self.it.held_buffers.get(player) != number:
                self.it.emit(ir.CommitBuffers(player, self._buffers(player, number)))
                self.it.held_buffers[player] = number

    # --- in which order ---

    def _parts_in_order(self) -> list[Part]:
        """Return the parts in the order to run them: each is computed, then has its backward pass.

        Parts that give one another cotangents stay in backward order. Of others, those
        come first that make nothing with a graph for later turns, so that D's judgment of the real
        is over and forgotten before the fake is made; then those for which least is computed.
        """
        flows = [(self.home[value], self.home[node]) for value, node in self.back.cut_edges]
        joined = united([*((part,) for part in self.parts), *flows])
        groups = [sorted(group, key=lambda part: part.number) for group in joined]
        if len(groups) > 1:
            groups.sort(key=self._effort)  # stable: else in backward order
        return [part for group in groups for part in group]

    def _effort(self, group: Sequence[Part]) -> tuple[int, int]:
        """Return how many values a group needs computed: for later backward passes, and in all."""
        missing = self._missing(self._wanted_by(group))
        turns = (
            self.analysis.differentiated_in.get(self.version.numbers[node], self.index)
            for node in missing
        )
        return sum(turn > self.index for turn in turns), len(missing)

    def _wanted_by(self, group: Sequence[Part]) -> list[Value]:
        """Return what has to be computed before a group backpropagates, and frees its graph.

        That is the energies that it starts from, the values that weigh them, and the gradients that
        are taken through the same graph (∂y/∂x as a weight, say).
        """
        nodes = {n for part in group for n in part.nodes}
        energies = sorted((n for n in nodes if isinstance(n, Energy)), key=lambda e: e.index)
        weights = [v for energy in energies for v in self.weights.get(energy, ())]
        slopes = [g for g in self.slopes if not nodes.isdisjoint(self.analysis.paths[g])]
        return [*energies, *weights, *slopes]

    def _missing(self, wanted: Iterable[Value]) -> list[Value]:
        """Return what is still to be computed for some values, in the order declared."""
        missing: set[Value] = set()
        waiting = [*wanted]
        while waiting:
            node = waiting.pop()
            if node in self.pending and node not in missing:
                missing.add(node)
                waiting += node.inputs
                start = self.version.starts.get(node)
                waiting += [self.makes[start]] if start in self.makes else []
        return sorted(missing, key=lambda v: v.index)

    def _compute_for(self, wanted: Iterable[Value]) -> None:
        for node in self._missing(wanted):
            if node in self.pending:  # not if it came with another gradient of the same y
                self._compute(node)

    # --- forward ---

    def _compute(self, node: Value) -> None:
        del self.pending[node]
        match node.op:
            case Gradient():
                self._compute_gradients(node)
            case Call():
                self._compute_call(node)
            case _:
                self._compute_other(node)
        if isinstance(node, Energy) and node in self.turn.descends:
            self._record(node)

    def _compute_other(self, node: Value) -> None:
        out = self._value(node)
        label, where = self.it.graph.names[node], str(node.where)
        match node.op:
            case Batch(name):
                self.it.emit(ir.Entry(out, name))
            case Noise(name, shape):
                like = self._input(node.args[0], node)
                self.it.emit(ir.Noise(out, name, shape, like, hashed(name)))
            case Sample(name, fn):
                self.it.emit(ir.Sample(out, name, self.it.constant(fn, name), hashed(name)))
            case Item(index):
                source = self._input(node.args[0], node)
                self.it.emit(ir.Item(out, source, self._operand(index, node), label, where))
            case StopGradient():
                self.it.emit(ir.Detach(out, self._input(node.args[0], node)))
            case Apply(fn, name):
                args, kwargs = self._given(node)
                function = self.it.constant(fn, name)
                self.it.emit(ir.Apply(out, function, args, kwargs, label, where))
            case _:
                raise AssertionError(node.op)

    def _compute_call(self, node: Value) -> None:
        assert isinstance(node.op, Call)
        player, graph = node.op.player, self.it.graph
        args, kwargs = self._given(node)
        self.it.require_grad(player, self._learns(node))
        if player in graph.drawing:
            self.it.emit(ir.Seed(self.it.keys[node], tuple(sorted(graph.reads[node]))))
        evaluating = not node.op.training and not node.op.frozen
        buffers, becomes, copies = self._buffers_of_call(node, player)
        self.it.emit(
            ir.Call(
                self._value(node),
                player,
                node.op.method,
                args,
                kwargs,
                evaluating,
                copies,
                buffers,
                becomes,
                graph.names[node],
                str(node.where),
            )
        )

    def _buffers_of_call(self, node: Value, player: str) -> tuple[Slot | None, Slot | None, bool]:
        """Return what a call's copies of buffers are made of, and become; and whether it has any.

        A call works on the module's own where what it makes of them stays, since its owner moves in
        this turn or in a later one, and nobody asks for what they were before. So the loop reads,
        and costs, as a loop written by hand.
        """
        start, end = self.version.starts.get(node), self.version.ends.get(node)
        if start is None:
            return None, None, False
        held = self.it.held_buffers.setdefault(player, start)
        stays = end in self.it.kept_buffers or (self.it.steps and player in self.turn.terms)
        if end is not None and stays and held == start and self.it.uses_of_buffers[start] == 1:
            self.it.held_buffers[player] = end
            return None, None, False
        buffers = None if held == start else self._buffers(player, start)
        needed = end is not None and end in self.analysis.buffers_needed
        becomes = self._buffers(player, end) if needed else None
        return buffers, becomes, True

    def _buffers(self, player: str, number: Number | None) -> Slot:
        return self.it.slot(("buffers", number), f"{self.it.players[player]}_buffers")

    def _compute_gradients(self, node: Value) -> None:
        """Take a gradient of y, and all others of the same y that are asked for, in one pass."""
        y = node.args[0]
        create_graph, learners = self._creates_graph(node), self._learners(node)
        together = [node]
        for other in [*self.pending]:
            same = isinstance(other.op, Gradient) and other.args[0] is y
            if same and self._creates_graph(other) == create_graph:
                theirs = self._learners(other)
                # What a gradient is made of depends on who learns while it is taken.
                if all(learners.get(p, learns) is learns for p, learns in theirs.items()):
                    learners |= theirs
                    together.append(other)
        for other in together[1:]:
            del self.pending[other]
        for player, learns in learners.items():
            self.it.require_grad(player, learns)
        xs = tuple(self._input(other.args[1], other) for other in together)
        names = self.it.graph.names
        outs = tuple(map(self._value, together))
        label = ", ".join(names[other] for other in together)
        source = self._input(y, node)
        self.it.emit(ir.Gradient(outs, source, xs, create_graph, label, str(node.where)))
        path = frozenset[Value]().union(
            *(self.analysis.paths[other] - {other.args[1]} for other in together)
        )
        owners = (owner(call) for call in path)
        self.through_gradients.update(player for player in owners if player is not None)

    def _creates_graph(self, node: Value) -> bool:
        return self.analysis.has_graph(self.version.numbers[node])

    def _learners(self, node: Value) -> dict[str, bool]:
        """Return the players that a gradient flows back through, and whether each learns there."""
        learns: dict[str, bool] = {}
        for call in sorted(self.analysis.paths[node], key=lambda v: v.index):
            if (player := owner(call)) is not None:
                learns[player] = learns.get(player, False) or self._learns(call)
        return learns

    def _learns(self, node: Value) -> bool:
        """Tell whether a call's player moves in the turn that backpropagates through the call."""
        turn, player = self._differentiated_in(node), owner(node)
        return (
            turn is not None
            and player is not None
            and player in self.analysis.backward_plans[turn].needed_by[node]
        )

    def _differentiated_in(self, node: Value) -> int | None:
        return self.analysis.differentiated_in.get(self.version.numbers[node])

    # --- what stands in for a value ---

    def _given(self, node: Value) -> tuple[Any, Any]:
        return (
            tuple(self._operand(arg, node) for arg in node.args),
            {name: self._operand(arg, node) for name, arg in node.kwargs.items()},
        )

    def _operand(self, tree: Any, node: Value) -> ir.Operand:
        def leaf(x: Any) -> Any:
            if isinstance(x, Value):
                return self._input(x, node)
            return x if ir.is_literal(x) else self.it.constant(x, type(x).__name__.lower())

        for kind in _container_classes(tree):
            self.it.constant(kind, kind.__name__)
        return pytree.map_leaves(leaf, tree)

    def _value(self, node: Value) -> Slot:
        number = self.version.numbers[node]
        key = ("value", number)
        return self.it.slots.get(key) or self.it.slot(key, self._name(node))

    def _input(self, value: Value, node: Value) -> Slot:
        """Return what stands in for `value` where `node` is computed from it (see the table)."""
        traced = self.version.numbers[node] in self.analysis.double_backward
        if isinstance(node.op, Gradient) or traced:
            if self.analysis.is_source(value, node):
                return self._source(value)
            if self.analysis.is_traced(value, node):
                return self._value(value)
        turn = self._differentiated_in(node)
        if turn is None:
            return self._constant(value)
        match self.analysis.backward_plans[turn].kind(value, node):
            case EdgeKind.CONSTANT:
                return self._constant(value)
            case EdgeKind.LEAF:
                return self._leaf(value, node, turn)
            case EdgeKind.LIVE:
                return self._value(value)

    def _constant(self, value: Value) -> Slot:
        number = self.version.numbers[value]
        if not self.analysis.has_graph(number):
            return self._value(value)
        return self._made(ir.Detach, ("constant", number), value, "const")

    def _leaf(self, value: Value, node: Value, turn: int) -> Slot:
        """Return the leaf in place of `value` for `node`: shared by all that mix in one way."""
        leaf = self.analysis.backward_plans[turn].leaf_of[value, node]
        part = self.analysis.home[turn][node].number
        return self._made(ir.Leaf, ("leaf", turn, leaf, part), value, "leaf")

    def _source(self, value: Value) -> Slot:
        """Return the tensor that gradients with respect to `value` are taken of.

        An Alias keeps the graph behind it: where `value` is on the way to another gradient, or
        where a turn backpropagates through it. A plain Leaf would end there.
        """
        number, turn = self.version.numbers[value], self._differentiated_in(value)
        takers = [] if turn is None else self._takers(value, turn)
        if number not in self.analysis.double_backward and (turn is None or not takers):
            return self._made(ir.Leaf, ("source", number), value, "leaf")
        if takers and turn is not None:
            back = self.analysis.backward_plans[turn]
            if back.kind(value, takers[0]) is EdgeKind.LEAF:
                return self._leaf(value, takers[0], turn)
        return self._made(ir.Alias, ("alias", number), value, "alias")

    def _takers(self, value: Value, turn: int) -> list[Value]:
        """Return what takes `value` on the way to a gradient by it, differentiated in `turn`."""
        return [
            node
            for node in self.analysis.backward_plans[turn].needed_by
            if value in node.inputs
            and self.analysis.is_source(value, node)
            and self.analysis.differentiated_in.get(self.version.numbers.get(node, -1)) == turn
        ]

    def _made(
        self,
        kind: type[ir.Detach] | type[ir.Leaf] | type[ir.Alias],
        key: Hashable,
        value: Value,
        how: str,
    ) -> Slot:
        """Return a slot made from a value's, writing the instruction that makes it once."""
        if key not in self.it.slots:
            source = self._value(value)
            self.it.emit(kind(self.it.slot(key, f"{source}_{how}"), source))
        return self.it.slots[key]

    # --- records ---

    def _record(self, node: Value) -> Slot:
        number = self.version.numbers[node]
        if number not in self.it.recorded:
            source = self._constant(node) if node in self.it.graph.weights else self._value(node)
            out = self.it.slot(("record", number), f"{self._value(node)}_value")
            self.it.emit(ir.Record(out, source))
            self.it.recorded[number] = out
        return self.it.recorded[number]

    def _objectives(self) -> None:
        for player, terms in self.turn.terms.items():
            mixture = [
                (self._weight(t.weight, self._record), self._record(t.energy)) for t in terms
            ]
            self.it.objectives[player] = tuple(mixture)
        for energy in self.turn.energies:
            self.it.energies[self.it.graph.names[energy]] = self._record(energy)

    # --- backward ---

    def _go_back(self, part: Part) -> None:
        passes = [*dict.fromkeys(x for node in part.nodes for x in self.back.passes[node])]
        for i, carried in enumerate(passes):
            self._backward(part, carried, retain_graph=i + 1 < len(passes))

    def _backward(self, part: Part, carried: Pass, *, retain_graph: bool) -> None:
        """Write one pass through a part: from energies and cotangents to players and leaves."""
        energies, values = [], []
        scales: dict[str, Scale] = {}
        leaves: dict[Slot, Slot] = {}
        for node in part.nodes:
            if isinstance(node, Energy) and (weight := carried.weight(node)):
                energies.append((self._scale(weight), self._value(node)))
            if mixed := self._mixed(node, carried):
                values.append((self._value(node), mixed))
            player = owner(node)
            if player is not None and player in self.back.needed_by[node]:
                made_of = self.back.coefficients(node, self.back.matrix.row(player))
                if carried in made_of:
                    scales[player] = self._scale(made_of[carried])
            for value in self._leaves_of(node, carried):
                leaf = self._leaf(value, node, self.index)
                leaves[leaf] = self._cotangent(leaf, part, carried, value)
        for player_name in scales:
            self.it.require_grad(player_name, True)
        into = tuple(p for p in scales if p not in self.scaled)
        self.totals |= dict.fromkeys(into)
        scales = {p: scale for p, scale in scales.items() if p in self.scaled}
        found = {p: self._gradients_slot(p, scale) for p, scale in scales.items()}
        self.it.emit(
            ir.Backward(
                carried.name,
                tuple(energies),
                tuple(values),
                into,
                tuple(found.items()),
                tuple(leaves.items()),
                retain_graph,
                self._is_alone(part) and not scales,
            )
        )
        for player_name, scale in scales.items():
            self._accumulate(player_name, scale, found[player_name])

    def _scaled_players(self) -> frozenset[str]:
        """Return the players whose gradients are not simply added up in `.grad`.

        That is whose row is a multiple of another's at any call, or who only wants to look.
        """
        if not self.it.steps:
            return frozenset(self.turn.terms)
        return frozenset(
            player
            for node in self.back.needed_by
            if (player := owner(node)) in self.back.needed_by[node]
            for coefficient in self.back.coefficients(node, self.back.matrix.row(player)).values()
            if self._scale(coefficient) != ONE
        )

    def _is_alone(self, part: Part) -> bool:
        """Tell whether a part's graph has no leaves but the parameters of the only mover.

        Where several move, passes end at some of them; where a gradient is a value (∂y/∂x), x is a
        leaf.
        """
        return len(self.turn.terms) == 1 and not gradients_of(part.nodes)

    def _leaves_of(self, node: Value, carried: Pass) -> list[Value]:
        """Return the values in whose place a node has leaves, at which somebody wants the pass."""
        back = self.back
        return [
            value
            for value in node.inputs
            if back.kind(value, node) is EdgeKind.LEAF
            and any(
                carried in back.coefficients(node, back.matrix.row(player))
                for player in back.needed_by[value]
            )
        ]

    def _gradients_slot(self, player: str, scale: Scale) -> Slot:
        alone = player not in self.totals and scale == ONE
        return Slot(self.it.names.fresh(f"{player}_{'grads' if alone else 'part'}"))

    def _accumulate(self, player: str, scale: Scale, part: Slot) -> None:
        if player not in self.totals and scale == ONE:
            self.totals[player] = part
            return
        total = self.totals.get(player)
        out = Slot(self.it.names.fresh(f"{player}_grads"))
        self.it.emit(ir.Accumulate(out, total, scale, part))
        self.totals[player] = out

    def _cotangent(self, leaf: Slot, part: Part, carried: Pass, value: Value) -> Slot:
        name = f"d_{self._value(value)}" + ("" if carried.player is None else f"_{carried.player}")
        slot = self.it.slot(("cotangent", self.index, leaf, part.number, carried), name)
        self.left.setdefault((leaf, part.number), {})[carried] = slot
        return slot

    def _mixed(self, value: Value, carried: Pass) -> ir.Mixture:
        """Return the cotangents that a pass goes on from at `value`, with factors."""
        if carried not in self.back.passes.get(value, ()):
            return ()
        mixture: list[tuple[Scale, Slot]] = []
        seen: set[tuple[Slot, int]] = set()
        for node in self.back.cut_takers.get(value, ()):
            key = (self._leaf(value, node, self.index), self.home[node].number)
            if key in seen:
                continue
            seen.add(key)
            for x, coefficient in self.back.coefficients(node, carried).items():
                if x in self.left.get(key, {}):
                    mixture.append((self._scale(coefficient), self.left[key][x]))
        return tuple(mixture)

    # --- weights ---

    def _scale(self, coefficient: Coefficient) -> Scale:
        factors = (self._weight(weight, self._constant).factors for weight in coefficient)
        return Scale(tuple(factor for group in factors for factor in group))

    def _weight(self, weight: Weight, value: Callable[[Value], Slot]) -> Scale:
        functions = [s for s in weight.symbols if not isinstance(s, Value)]
        values = [s for s in weight.symbols if isinstance(s, Value)]
        named = (
            self.it.constant(fn, getattr(fn, "__name__", type(fn).__name__)) for fn in functions
        )
        return Scale((Factor(weight.factor, tuple(named), tuple(map(value, values))),))

    # --- names ---

    def _name(self, node: Value) -> str:
        """Return what a user would call a value: its name, or how it is made."""
        if node.name is not None:
            return node.name
        match node.op:
            case Batch(name) | Noise(name) | Sample(name):
                return name
            case Call(player, method):
                head = player if method == "forward" else f"{player}_{method}"
            case Apply(_, name):
                head = name
            case Item(index):
                head = f"item_{index}"
            case StopGradient():
                head = "stopped"
            case Gradient():
                head = "gradient"
        inputs = "_".join(self._value(v).name for v in node.inputs)
        return f"{head}_{inputs}" if len(head) + len(inputs) < LONGEST else head


def _container_classes(tree: Any) -> Iterator[type]:
    """Yield the classes of a tree's containers that Python has no brackets for."""
    if isinstance(tree, dict):
        branches: Iterable[Any] = tree.values()
    elif isinstance(tree, tuple | list):
        branches = tree
    else:
        return
    if type(tree) not in (dict, tuple, list):
        yield type(tree)
    for branch in branches:
        yield from _container_classes(branch)
