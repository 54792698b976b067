"""contract_test.py - a loop written for torch.optim goes on when the class is exchanged: construction, groups, hooks,
states. Numbers in brackets are rows of the table in docs/python/pytorch.md."""

import gc
import inspect
import pickle
import copy
import warnings
import weakref

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

import onepass.torch as onepass
from models import CASES, PAIRS, assert_same_bits, copies, loop, parameters, set_gradients, train

NAMES = list(PAIRS)
pytestmark = pytest.mark.usefixtures("both_walkers")


def pair(name, shapes=((3, 5), (7,)), **options):
    """Returns our optimizer and torch's, for-loop, over two copies of a model."""
    mine = parameters(list(shapes))
    other = copies(mine)
    ours, theirs = PAIRS[name]
    return mine, other, ours(mine, **options), loop(theirs, other, **options)


def assert_close(mine, other):
    for one, two in zip(mine, other):
        torch.testing.assert_close(one.detach(), two.detach())


@pytest.mark.parametrize("name", NAMES)
def test_signature_and_defaults_are_torchs(name):  # [1]
    ours, theirs = PAIRS[name]
    listed = inspect.signature(ours).parameters
    for parameter in inspect.signature(theirs).parameters.values():
        mine = listed[parameter.name]
        assert (mine.default, mine.kind) == (parameter.default, parameter.kind)
    model = parameters([(3,)])
    assert ours(model).defaults == theirs(model).defaults
    assert repr(ours(model)).replace("onepass.", "") == repr(theirs(model))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wrong", [{"lr": -1.0}, {"weight_decay": -1.0}, {"eps": -1.0}, {"momentum": -1.0},
                                   {"betas": (1.0, 0.9)}, {"alpha": -1.0}, {"nesterov": True}, {"unknown": 1}])
def test_errors_are_torchs(name, wrong):  # [1]
    ours, theirs = PAIRS[name]
    model, raised = parameters([(3,)]), []
    for made in (ours, theirs):
        try:
            made(model, **wrong)
            raised.append(None)
        except (ValueError, TypeError) as error:
            raised.append((type(error), str(error).replace("Face", theirs.__name__)))
    assert raised[0] == raised[1]


@pytest.mark.parametrize("made, error", [(lambda: [], ValueError), (lambda: torch.ones(3), TypeError),
                         (lambda: [1], TypeError),
                         (lambda: [torch.ones(3) * torch.ones(3, requires_grad=True)], ValueError)])
def test_bad_parameters_are_refused_as_torch_refuses_them(made, error):  # [1]
    for kind in PAIRS["AdamW"]:
        with pytest.raises(error):
            kind(made())


@pytest.mark.parametrize("name", NAMES)
def test_parameters_may_come_in_every_way(name):  # [2]
    ours, _ = PAIRS[name]
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    for given in (model.parameters(), model.named_parameters(), list(model.parameters()),
                  [{"params": model.parameters()}],
                  [{"params": model[0].parameters()}, {"params": model[1].weight, "lr": 0.5}],
                  [{"params": list(model[0].named_parameters()), "lr": 0.5}]):
        optimizer = ours(given)
        model(torch.ones(2, 3)).sum().backward()
        optimizer.step()
    named = ours(model.named_parameters())
    assert named.param_groups[0]["param_names"] == [key for key, _ in model.named_parameters()]
    assert named.state_dict()["param_groups"][0]["param_names"] == named.param_groups[0]["param_names"]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_made_before_the_first_step(name):  # [3]
    ours, _ = PAIRS[name]
    with torch.device("meta"):
        model = torch.nn.Linear(1000, 1000)
    optimizer = ours(model.parameters())
    assert len(optimizer.state) == 0 and optimizer._plan is None
    for parameter in model.parameters():  # As model.to_empty() and checkpoint loaders do.
        torch.utils.swap_tensors(parameter, torch.nn.Parameter(torch.ones(parameter.shape)))
    model(torch.ones(1, 1000)).sum().backward()
    optimizer.step()
    assert all(parameter.device.type == "cpu" for parameter in model.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_is_an_optimizer_of_torch(name):  # [4]
    ours, theirs = PAIRS[name]
    optimizer = ours(parameters([(3,)]), lr=0.5)
    assert isinstance(optimizer, theirs) and isinstance(optimizer, torch.optim.Optimizer)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0.25


@pytest.mark.parametrize("name, options", CASES)
def test_groups_may_be_added_at_any_time(name, options):  # [5]
    mine, other, ours, theirs = pair(name, **options)
    train([ours, theirs], [mine, other], 3)
    late = parameters([(4, 4)], seed=3)
    late_too = copies(late)
    ours.add_param_group({"params": late, "lr": 0.002})
    theirs.add_param_group({"params": late_too, "lr": 0.002})
    train([ours, theirs], [mine + late, other + late_too], 3, first=3)
    assert_close(mine + late, other + late_too)


def test_closure_runs_with_gradients_and_its_loss_is_returned():  # [6]
    model = parameters([(3,)])
    optimizer = onepass.AdamW(model)

    def closure():
        assert torch.is_grad_enabled()
        optimizer.zero_grad()
        loss = (model[0] ** 2).sum()
        loss.backward()
        return loss

    with torch.no_grad():
        losses = [optimizer.step(closure).item() for _ in range(3)]
    assert losses[2] < losses[1] < losses[0]


@pytest.mark.parametrize("name, options", CASES)
def test_parameters_without_gradient_are_left_alone(name, options):  # [7]
    mine, other, ours, theirs = pair(name, ((3, 5), (7,), (2,)), **options)
    ours.step(), theirs.step()
    assert len(ours.state) == 0
    for step in range(6):
        set_gradients(mine, other, step=step)
        for index in {0: (0, 1, 2), 1: (1,), 2: (0, 2), 3: (), 4: (2,), 5: (1, 2)}[step]:
            mine[index].grad = other[index].grad = None
        ours.step(), theirs.step()
    assert_close(mine, other)
    counts = [[one.state[p]["step"].item() for p in model if "step" in one.state[p]]
              for one, model in ((ours, mine), (theirs, other))]
    assert counts[0] == counts[1]


@pytest.mark.parametrize("name", NAMES)
def test_new_gradients_may_lie_where_old_ones_lay(name):  # [9]
    mine, other, ours, theirs = pair(name, ((6, 6),), lr=0.1)
    memory = torch.zeros(36)
    for step in range(6):
        numbers = torch.randn(6, 6)
        view = memory.view(6, 6).t() if step % 2 else memory.view(6, 6)
        view.copy_(numbers)
        mine[0].grad, other[0].grad = view, numbers
        ours.step(), theirs.step()
    assert_close(mine, other)


@pytest.mark.parametrize("name, options", CASES)
def test_several_dtypes_in_one_optimizer(name, options):  # [11]
    """16-bit parameters have a master by default, so they are as close to float64 as rounding them once allows."""
    ours, theirs = PAIRS[name]
    places = {torch.float32: 1e-5, torch.float64: 1e-12, torch.bfloat16: 2**-8, torch.float16: 2**-11}
    if ours._spelling.over_model:
        del places[torch.float64]  # refused: rules/prodigy_test.py
    mine = [torch.nn.Parameter(torch.randn(8, 8).to(dtype)) for dtype in places]
    exact = copies(mine, torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train([ours(mine, **options), loop(theirs, exact, **options)], [mine, exact], 5)
    for one, two, half_place in zip(mine, exact, places.values()):
        torch.testing.assert_close(one.double(), two.detach(), rtol=half_place * 1.01, atol=half_place / 16)


@pytest.mark.parametrize("name, options", CASES)
def test_parameter_is_replaced_and_its_state_cut(name, options):  # [12]
    """3D Gaussian splatting prunes and clones rows of parameters and states between steps."""
    mine, other, ours, theirs = pair(name, ((6, 3), (7,)), **options)
    train([ours, theirs], [mine, other], 3)
    old = weakref.ref(mine[0])
    for model, optimizer in ((mine, ours), (other, theirs)):
        state = optimizer.state.pop(model[0], None)
        fresh = torch.nn.Parameter(model[0].detach()[1:4].clone())
        for key, value in (state or {}).items():
            if value.dim() and len(value) == 6:  # Adafactor's states of columns have no rows.
                state[key] = value[1:4].clone()
        if state:
            optimizer.state[fresh] = state
        optimizer.param_groups[0]["params"][0] = model[0] = fresh
    del state, fresh
    train([ours, theirs], [mine, other], 3, first=3)
    assert_close(mine, other)
    gc.collect()
    assert old() is None


@pytest.mark.parametrize("name, options", CASES)
def test_states_may_be_changed_in_every_way(name, options):  # [13]
    mine, other, ours, theirs = pair(name, **options)
    changes = [lambda o, p: None,
               lambda o, p: [v.mul_(0.5) for v in o.state[p].values() if torch.is_tensor(v) and v.dim()],
               lambda o, p: o.state[p].update({k: v * 2 for k, v in o.state[p].items() if v.dim()}),
               lambda o, p: [setattr(v, "data", v.data.clone()) for s in o.state.values() for v in s.values()],
               lambda o, p: o.state.pop(p, None),
               lambda o, p: o.state.clear(),
               lambda o, p: setattr(o, "state", type(o.state)(dict, copy.copy(o.state)))]
    for step, change in enumerate(changes):
        for optimizer, model in ((ours, mine), (theirs, other)):
            change(optimizer, model[0])
        train([ours, theirs], [mine, other], 2, first=2 * step)
        assert_close(mine, other)


@pytest.mark.parametrize("name, options", CASES)
def test_every_hyperparameter_is_read_in_each_step(name, options):  # [14]
    mine, other, ours, theirs = pair(name, **options)
    for step in range(5):
        for group in (ours.param_groups[0], theirs.param_groups[0]):
            for key in ("lr", "weight_decay", "eps", "dampening"):
                if key == "eps" and isinstance(group.get(key), tuple):
                    group[key] = tuple((one or 1e-3) * 1.3 for one in group[key])
                elif key in group and not (key == "dampening" and group["nesterov"]):
                    group[key] = group[key] * 1.3 + 1e-3
            if "alpha" in group:  # Of RMSprop an average's, of AdEMAMix a factor.
                group["alpha"] = 0.9 + 0.01 * step
            if "betas" in group:
                group["betas"] = (0.5 + 0.05 * step, 0.9 + 0.01 * step, 0.8)[:len(group["betas"])]
            if group.get("momentum"):
                group["momentum"] = 0.5 + 0.05 * step
            group["maximize"] = step % 2 == 0
        train([ours, theirs], [mine, other], 1, first=step)
    assert_close(mine, other)


def test_amsgrad_may_be_turned_on_between_steps():  # [14]
    model = parameters([(9,)])
    optimizer = onepass.AdamW(model, lr=0.1)
    train([optimizer], [model], 2)
    optimizer.param_groups[0]["amsgrad"] = True
    train([optimizer], [model], 2, first=2)
    assert list(optimizer.state[model[0]]) == ["step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(), (1,)])
def test_learning_rate_may_be_a_tensor(name, shape):  # [15]
    ours, theirs = PAIRS[name]
    mine = parameters([(7,)])
    other = copies(mine)
    ours, theirs = ours(mine, lr=torch.full(shape, 0.1)), loop(theirs, other, lr=0.1)
    for step in range(4):
        ours.param_groups[0]["lr"].fill_(0.1 * (step + 1))
        theirs.param_groups[0]["lr"] = 0.1 * (step + 1)
        train([ours, theirs], [mine, other], 1, first=step)
    assert_close(mine, other)


def test_hooks_run_in_torchs_order_and_may_change_arguments():  # [16]
    seen, model = [], parameters([(3,)])
    optimizer = onepass.AdamW(model)
    handles = [register_optimizer_step_pre_hook(lambda *_: seen.append("global pre")),
               register_optimizer_step_post_hook(lambda *_: seen.append("global post")),
               optimizer.register_step_pre_hook(lambda o, args, kw: (seen.append("pre"), ((o, lambda: 5.0), {}))[1]),
               optimizer.register_step_post_hook(lambda *_: seen.append("post"))]
    try:
        assert optimizer.step() == 5.0
    finally:
        for handle in handles:
            handle.remove()
    assert seen == ["global pre", "pre", "post", "global post"]


def test_step_is_a_bound_method_that_may_be_replaced():  # [17]
    optimizer = onepass.AdamW(parameters([(3,)]))
    assert optimizer.step.__func__ is type(optimizer).step
    calls, real = [], optimizer.step
    optimizer.step = lambda *args: (calls.append(1), real(*args))[1]
    optimizer.step()
    assert calls == [1]


@pytest.mark.parametrize("set_to_none", [True, False])
def test_gradients_are_set_to_none_or_to_zero(set_to_none):  # [25]
    mine, other, ours, theirs = pair("AdamW", lr=0.1)
    assert "set_to_none" in inspect.signature(ours.zero_grad).parameters
    for step in range(3):
        set_gradients(mine, other, step=step)
        ours.step(), theirs.step()
        ours.zero_grad(set_to_none), theirs.zero_grad(set_to_none)
        assert all(p.grad is None if set_to_none else not p.grad.any() for p in mine)
        ours.step(), theirs.step()
    assert_close(mine, other)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: looks for host synchronisation and the stream")
def test_step_does_not_wait_for_the_device():  # [19]
    model = [torch.nn.Parameter(torch.randn(1000, device="cuda")) for _ in range(4)]
    optimizer = onepass.AdamW(model, max_grad_norm=1.0)
    for step in range(2):
        set_gradients(model, step=step)
        torch.cuda.set_sync_debug_mode("error" if step else "default")
        optimizer.step()
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_copies_have_states_and_arguments(copied):  # [33]
    model = parameters([(40,)], torch.bfloat16)
    optimizer = onepass.AdamW(model, lr=0.1, states="8bit", master="remainder8", max_grad_norm=1.0, seed=5)
    train([optimizer], [model], 3)
    public = {name for name in vars(optimizer) if not name.startswith("_")}
    twin = copied(optimizer)
    assert {name for name in vars(twin) if not name.startswith("_")} == public
    twins = twin.param_groups[0]["params"]
    assert_same_bits(model[0], twins[0])
    train([optimizer, twin], [model, twins], 3, first=3)
    assert_same_bits(model[0], twins[0])
    assert twin._arguments == optimizer._arguments


def test_parameters_that_a_wrapper_swaps_are_freed():  # [45]
    """accelerate's FSDP2 exchanges parameters for small ones and relies on the old ones being freed."""
    model = torch.nn.Linear(4, 4)
    optimizer = onepass.AdamW(model.parameters())
    optimizer.load_state_dict(optimizer.state_dict())
    old = [weakref.ref(parameter) for parameter in model.parameters()]
    for group in optimizer.param_groups:
        group["params"] = [torch.empty(1) for _ in group["params"]]
    model.weight, model.bias = torch.nn.Parameter(torch.ones(4, 4)), torch.nn.Parameter(torch.ones(4))
    optimizer.param_groups[0]["params"] = list(model.parameters())
    gc.collect()
    assert all(one() is None for one in old)
    model(torch.ones(1, 4)).sum().backward()
    optimizer.step()
