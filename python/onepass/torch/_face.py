"""_face.py - what every optimizer here does in place of torch's own step. Constructor, groups, hooks, errors, pickling
and state dicts are those of torch's class."""

import inspect
import typing
import warnings
import weakref

import torch

from . import _distributed, _state
from ._engine import MEASURE, SUMS, stream_of
from ._formats import Choice, refresh
from ._plan import Handling, Plan
from ._rules import rescales
from ._rules.presets import completed
from ._rules.plain import Plain
from ._sam import Perturbs
from ._walk import OTHER, local

CHECKPOINTS = ("portable", "float32", "exact")
CLIPS = ("all", "parameter")


def _is_lookahead(pair):
    return isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], int) and 1 <= pair[0] < 1 << 63 \
        and isinstance(pair[1], (int, float)) and 2.0 ** -149 <= pair[1] <= 1


class Arguments(typing.NamedTuple):
    """What an optimizer takes besides torch's arguments. Face explains it."""

    master: str | None = None
    states: str | None = None
    rounding: str = "nearest"
    seed: int = 0
    max_grad_norm: float | None = None
    skip_nonfinite: bool = False
    checkpoint: str = "portable"
    process_group: object = None
    clip_by: str = "all"
    lookahead: tuple | None = None

    def check(self):
        """Raises ValueError for an argument that is none of the known ones. Returns the arguments."""
        self.choice().check()
        if self.checkpoint not in CHECKPOINTS:
            raise ValueError(f"checkpoint is {self.checkpoint!r}; it must be one of "
                             f"{', '.join(map(repr, CHECKPOINTS))}")
        if self.max_grad_norm is not None and not self.max_grad_norm >= 0:
            raise ValueError(f"max_grad_norm is {self.max_grad_norm}; it must be at least 0, or None")
        if self.clip_by not in CLIPS:
            raise ValueError(f"clip_by is {self.clip_by!r}; it must be one of {', '.join(map(repr, CLIPS))}")
        if self.lookahead is not None and not _is_lookahead(self.lookahead):
            raise ValueError(f"lookahead is {self.lookahead!r}; it must be None or a pair of a number of steps, at "
                             "least 1, and a share above 0 and at most 1, such as (6, 0.5)")
        return self

    def choice(self):
        return Choice(self.master, self.states, self.rounding)


class Face(Perturbs):
    """The part that all optimizers here share. Every argument but these is that of torch's class:

    master: the more precise number that steps update, beside a 16-bit parameter. None: "split" for bfloat16 (2 bytes,
        exactly float32's bits) and "float32" for float16 (4 bytes). "remainder8": 1 byte, rounded without bias. "none":
        each step rounds the parameter, as torch's do.
    states: "float32" (the default), "bfloat16" or "8bit".
    rounding: "nearest" or "stochastic", of 16-bit parameters without a master and of bfloat16 states.
    seed: of stochastic rounding and of the dithering of 8 bits.
    max_grad_norm: clips by the norm of all gradients, of all ranks if parameters are DTensors, inside the step.
    clip_by: "all", or "parameter": each gradient is clipped by its own norm, of all ranks that have a part of it.
    skip_nonfinite: a step whose gradients have an Inf or NaN changes nothing and is counted in `skipped_steps`.
    checkpoint: of states of 8 bits in state_dict(): "portable" writes bfloat16, "float32" float32, and both load into
        torch's optimizer and into other shards; "exact" writes the codes, which load here alone.
    process_group: adds the norm of the gradients over these ranks; DTensors need none, they know theirs.
    lookahead: a pair (k, alpha): each k-th step of a parameter moves its slow weights, `state["slow"]`, by the share
        alpha of the way to it, and puts it there. 16-bit parameters need master "split" or "float32".
    preset: the settings of another implementation of the rule, such as "apex" of LAMB, in place of the defaults of the
        arguments that are not given. docs/rules.md lists the presets of each rule.

    Some classes of torch's take more, as their rules do:

    caution (Adam, AdamW, NAdam, RAdam): "masked" leaves out updates whose sign is not that of the gradient, "rescaled"
        also divides the others of a tensor by their share (Liang et al. 2024).
    beta1, relative_step, scale_parameter, warmup_init, adds_eps1 (Adafactor): the hyperparameters of other
        implementations. docs/rules.md says what they do.

    A group may have `master`, `states`, `rounding` and these as keys of its own."""

    _arguments = Arguments()
    _plan = _clip_once = _nonfinite = None
    _skipped = 0  # By plans before this one.

    def __init__(self, params, *args, master=None, states=None, rounding="nearest", seed=0, max_grad_norm=None,
                 clip_by="all", skip_nonfinite=False, checkpoint="portable", process_group=None, lookahead=None,
                 preset=None, **kwargs):
        self._arguments = Arguments(master, states, rounding, seed, max_grad_norm, skip_nonfinite, checkpoint,
                                    process_group, clip_by, lookahead).check()
        self._begin()
        if preset is not None:
            args, kwargs = (), completed(self._spelling, preset, params, args, kwargs)
        besides = {key: kwargs.pop(key) for key in self._spelling.besides if key in kwargs}
        for key, value in besides.items():
            Plain._check(key, value)
        super().__init__(params, *args, **kwargs)
        self.state.clear()  # torch's Adagrad makes its states here; steps make them.
        usual = self._spelling.besides  # With these, the groups are those of torch.
        self.defaults.update((key, value) for key, value in besides.items() if value != usual[key])
        self._give_besides()

    def _give_besides(self):
        """Gives all groups the keys that the base lacks, if they have other values than the usual ones."""
        for key in self._spelling.besides:
            if key in self.defaults:
                for group in self.param_groups:
                    group.setdefault(key, self.defaults[key])

    def __init_subclass__(cls, **kwargs):
        """Gives the class torch's signature with the arguments that torch lacks."""
        super().__init_subclass__(**kwargs)
        if "__init__" not in cls.__dict__ and "_spelling" in cls.__dict__:
            faces = [base.__init__ for base in cls.__mro__ if issubclass(base, Face) and "__init__" in base.__dict__]
            own = [parameter for face in faces for parameter in inspect.signature(face).parameters.values()
                   if parameter.kind is inspect.Parameter.KEYWORD_ONLY]
            base = inspect.signature(cls._spelling.base)
            besides = [inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=value)
                       for key, value in cls._spelling.besides.items()]
            cls.__signature__ = base.replace(parameters=[*base.parameters.values(), *besides, *own])

    def _begin(self):
        """Forgets what was learnt from earlier steps: the next one plans anew."""
        self._drop_plan()
        self._refused = {}  # By id, parameters whose gradients turned out to be none of the library's.

    def _is_refused(self, parameter):
        kept = self._refused.get(id(parameter))
        return kept is not None and kept() is parameter

    @torch._disable_dynamo
    def step(self, closure=None):
        """Updates every parameter that has a gradient. Returns what the closure returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self.restore()
        with torch.no_grad():
            plan = self._read()
            handling = self._handling(plan)
            self._before(plan)
            self._run(plan, handling)
            self._after(plan)
        self._clip_once = None
        if plan.others:
            self._step_others(plan)
        return loss

    def _read(self):
        """Returns a plan that is true now and has read the gradients."""
        while True:
            if self._plan is None or not self._plan.holds(self):
                self._renew()
                if not self._plan.walker.read():
                    raise RuntimeError(
                        "onepass: parameters moved while a step read them; step from one thread at a time")
            plan = self._plan
            if plan.walker.unfit == 0:
                return plan
            refused = [seat for seat in plan.walker.unfit_seats()
                       if not _distributed.is_laid_out_otherwise(seat) and not seat.hold_gradient()]
            if not refused:
                return plan
            self._refused.update((id(seat.parameter), weakref.ref(seat.parameter)) for seat in refused)
            self._drop_plan()

    def _drop_plan(self):
        """Forgets who steps what, and remembers what the engines have counted."""
        if self._plan is not None and self._arguments.skip_nonfinite:
            self._skipped, _ = self.skipped_steps, self.last_nonfinite()
        self._plan = None

    def _renew(self):
        self._drop_plan()
        self._plan = Plan(self)
        if self._plan.others:
            self._warn_of(self._plan)

    def _warn_of(self, plan):
        others = [seat for seat in plan.seats if seat.kind == OTHER]
        if others and not getattr(self, "_warned", False):
            self._warned = True
            first = others[0]
            warnings.warn(f"onepass: torch's own formulas step {len(others)} of {len(plan.seats)} parameters, the "
                          f"first is {first.name!r} ({first.parameter.dtype}, {first.parameter.device}, "
                          f"{first.parameter.layout})", stacklevel=4)

    def _handling(self, plan):
        """Returns what this step does with gradients before the rule."""
        max_norm = self._arguments.max_grad_norm if self._clip_once is None else self._clip_once
        arguments = self._arguments
        handling = Handling(max_norm, arguments.clip_by == "parameter", arguments.skip_nonfinite, plan.reduction.exact,
                            getattr(self, "found_inf", None), getattr(self, "grad_scale", None))
        if handling.found_inf is None and handling.grad_scale is None:  # Tensors may change in place.
            if handling == plan.handling:
                handling = plan.handling
            plan.handling = handling
        if any(p.grad is not None for p in plan.others):
            self._refuse_others(plan, handling)
        return handling

    def _refuse_others(self, plan, handling):
        """Raises RuntimeError if a step follows from all parameters, and torch's own formulas step some of them."""
        some = f"torch's own formulas step {len(plan.others)} of {len(plan.seats)}"
        if handling.measures():
            raise RuntimeError("max_grad_norm and skip_nonfinite need every parameter to be stepped by onepass, but "
                               f"{some}; use torch.nn.utils.clip_grad_norm_ instead")
        if self._arguments.lookahead is not None:
            raise RuntimeError(f"lookahead needs every parameter to be stepped by onepass, but {some}")
        if self._spelling.over_model and len(plan.others) < len(plan.seats):
            raise RuntimeError(f"{type(self).__name__} needs one formula for all parameters, whose sums it takes, but "
                               f"{some}; give those an optimizer of their own")
        for key, usual in self._spelling.besides.items():
            if any(group.get(key, usual) != usual for group in self.param_groups):
                raise RuntimeError(f"{key} needs every parameter to be stepped by onepass, but {some}")

    def _before(self, plan):
        """Brings shadows, masters and gradients of DTensors to where this step reads them."""
        for seat in plan.shadowed:
            seat.read_shadow()
        for seat in plan.mastered:
            if plan.versions.get(id(seat)) != seat.parameter._version:
                refresh(local(seat.state["master"]), seat.value)
        for seat in plan.distributed:
            if _distributed.is_laid_out_otherwise(seat):  # All ranks come here together: this communicates.
                gradient = seat.parameter.grad.redistribute(seat.parameter.device_mesh, seat.parameter.placements)
                seat.hold_gradient(gradient)
                plan.walker.changed += 1

    def _prepare(self, plan, handling):
        """Sends what has changed to all engines. Returns the stream of each."""
        streams = [stream_of(engine.device) for engine in plan.engines]
        for engine, stream in zip(plan.engines, streams):
            engine.send_settings(stream)
            engine.send_handling(handling, stream)
            engine.prepare(stream, plan.walker.changed)
        return streams

    def _run(self, plan, handling):
        engines = plan.engines
        streams = self._prepare(plan, handling)
        measures = [None] * len(engines)
        if handling.measures() and (len(engines) > 1 or plan.reduction.across):
            measures = self._measures(plan, handling, streams)
        alone = len(engines) == 1 and not plan.reduction.across
        over_tensors = self._spelling.sums or any(map(rescales, self.param_groups))
        if over_tensors and plan.reduction.mesh is not None or self._spelling.over_model and not alone:
            return self._run_with_sums(plan, streams, measures)
        for engine, stream, measure in zip(engines, streams, measures):
            engine.step(stream) if measure is None else engine.step_measured(measure, stream)

    def _measures(self, plan, handling, streams):
        """Returns what each engine steps by: the sum of the measures of all engines and ranks."""
        own = [engine.measure(stream) for engine, stream in zip(plan.engines, streams)]
        counted = [engine.counted for engine in plan.engines]
        if not handling.clips_each():
            return [plan.reduction.sum(list(zip(own, counted)))] * len(own)
        rows = torch.zeros(len(plan.seats), MEASURE, dtype=torch.int64, device=plan.reduction.device())
        whole = torch.zeros(1, MEASURE, dtype=torch.int64, device=rows.device)
        for engine, measure in zip(plan.engines, own):
            if engine.counted:
                measure = measure.to(rows.device).view(-1, MEASURE)
                rows[engine.places] = measure[:-1]
                whole += measure[-1:]
        rows, whole = plan.reduction.all_reduce_sums(rows, whole)
        return [torch.cat([rows[engine.places], whole]).flatten() for engine in plan.engines]

    def _run_with_sums(self, plan, streams, measures):
        """Steps by the sums over whole tensors and over the model, of which this rank has parts."""
        rows = torch.zeros(len(plan.seats), SUMS, dtype=torch.int64, device=plan.reduction.device())
        model = torch.zeros(int(self._spelling.over_model), SUMS, dtype=torch.int64, device=rows.device)
        takes_sums = [engine.takes_sums() for engine in plan.engines]
        for engine, stream, takes, measure in zip(plan.engines, streams, takes_sums, measures):
            if not takes:
                continue
            own = engine.begin_step(measure, stream).to(rows.device)
            if engine.counted:
                rows[engine.places] = own[:len(engine.places)]
                model += own[len(engine.places):]
        rows, model = plan.reduction.all_reduce_sums(rows, model)
        for engine, stream, takes, measure in zip(plan.engines, streams, takes_sums, measures):
            if takes:
                engine.finish_step(torch.cat([rows[engine.places], model]), stream)
            else:
                engine.step(stream) if measure is None else engine.step_measured(measure, stream)

    def _after(self, plan):
        """Lets gradients go that were held for the engines, and notes which parameters have changed."""
        for seat in plan.stepped if plan.walker.changed else ():
            seat.held = None
        self._note_changes(plan, plan.stepped_parameters())

    def _note_changes(self, plan, changed):
        """Tells autograd which parameters have changed, and the next step that their masters are true."""
        for seat in plan.shadowed:
            seat.write_shadow()
        if changed:
            torch.autograd.graph.increment_version(changed)
        for seat in plan.mastered:
            plan.versions[id(seat)] = seat.parameter._version

    def _step_others(self, plan):
        """Runs torch's own step for the parameters that the library does not take."""
        if self._spelling.starts:
            others = {id(parameter) for parameter in plan.others}
            for group in self.param_groups:
                for parameter in group["params"]:
                    if id(parameter) in others and not self.state.get(parameter):
                        self.state[parameter] = self._spelling.starts(group, parameter)
        with torch.set_grad_enabled(bool(self.defaults.get("differentiable"))):
            self._over_others(plan, lambda: inspect.unwrap(self._spelling.base.step)(self))

    def _over_others(self, plan, work):
        """Calls work() with groups that have the parameters alone that the library does not take."""
        groups, others = self.param_groups, {id(parameter) for parameter in plan.others}
        self.param_groups = [{**group, "params": [p for p in group["params"] if id(p) in others]} for group in groups]
        try:
            work()
        finally:
            self.param_groups = groups

    @torch._disable_dynamo
    def _sweep(self, name, others_sweep):
        """Takes a pass of the rule that is no step. `others_sweep` does so for what the library does not take."""
        self.restore()
        with torch.no_grad():
            plan = self._read()
            handling = self._handling(plan)
            if plan.reduction.across and handling.skips:
                raise RuntimeError(f"{name}() cannot skip gradients that are not finite on all ranks alike; make the "
                                   "optimizer without skip_nonfinite")
            self._before(plan)
            for engine, stream in zip(plan.engines, self._prepare(plan, handling)):
                engine.sweep(name, stream)
        if plan.others:
            self._over_others(plan, others_sweep)

    def clip_grad_norm_(self, max_norm):
        """Clips the gradients of the next step by the norm of all of them, inside the step: their memory is not read or
        written once more. `grad_norm` has the norm after the step."""
        if not max_norm >= 0:
            raise ValueError(f"max_norm is {max_norm}; it must be at least 0")
        self._clip_once = float(max_norm)

    def _asked(self, question):
        """Returns the answers of all engines to a question, which waits for the device."""
        engines = self._plan.engines if self._plan is not None else ()
        return [getattr(engine, question)(stream_of(engine.device)) for engine in engines]

    @property
    def grad_norm(self):
        """The norm of all gradients, of all ranks, at the last step that measured it; 0 before. Waits for the
        device."""
        return next(iter(self._asked("grad_norm")), 0.0)

    @property
    def skipped_steps(self):
        """The number of steps that changed nothing because a gradient was not finite. Waits for the device."""
        return self._skipped + max(self._asked("skipped_steps"), default=0)

    def last_nonfinite(self):
        """Returns a sentence that names the last gradient that made `skip_nonfinite` skip a step: the parameter (by its
        name in named_parameters(), else by its number), the element, and the step; None before. Of several gradients of
        one step it names the first. Waits for the device."""
        self._nonfinite = next((one for one in self._asked("nonfinite") if one is not None), self._nonfinite)
        return self._nonfinite

    def state_dict(self):
        self._require_unperturbed("state_dict")
        return _state.save(self, super().state_dict)

    def load_state_dict(self, state_dict):
        self._require_unperturbed("load_state_dict")
        _state.load(self, super().load_state_dict, state_dict)

    def __getstate__(self):
        self._require_unperturbed("__getstate__")
        return {**super().__getstate__(), "_arguments": self._arguments._replace(process_group=None)}

    def __setstate__(self, state):
        self._begin()
        super().__setstate__(state)
        self._give_besides()
        _state.unwrap(self)
