"""presets_test.py - `preset="apex"` gives an optimizer the settings of the library's preset, and other arguments
override them. plain_test.py holds these settings to golden values of the implementations."""

import array

import onepass
import onepass.torch
import pytest
import torch
from onepass._library import library
from onepass.torch import OPTIMIZERS
from onepass.torch._rules.presets import arguments_of

BY_RULE = {ours._spelling.name: ours for ours in OPTIMIZERS}
PRESETS = [(rule, preset) for rule in BY_RULE for preset in library().presets(rule)]
# torch's classes have no argument for these: eps inside RMSprop's root, decoupled decay of Adadelta, decay afterwards.
WITHOUT_ARGUMENT = {("RMSProp", "keras"): "epsilon", ("RMSProp", "optax"): "epsilon",
                    ("Adadelta", "keras"): "weight_decay_mode", ("Adam", "bitsandbytes"): "weight_decay_mode",
                    ("AdamW", "bitsandbytes"): "weight_decay_mode"}


def parameters():
    parameter = torch.nn.Parameter(torch.tensor([0.5, -1.0, 2.0, 4.0]))
    parameter.grad = torch.tensor([1.0, -2.0, 0.5, 0.25])
    return [parameter]


def stepped(rule, **hyperparameters):
    """Returns the parameters after three steps of the library."""
    value, grad = (array.array("f", one.tolist()) for one in (parameters()[0].detach(), parameters()[0].grad))
    with onepass.Optimizer(rule, [onepass.parameter(value, grad)], **hyperparameters) as optimizer:
        for _ in range(3):
            optimizer.step()
    return list(value)


def steps_of(optimizer):
    for _ in range(3):
        optimizer.step()
    return optimizer.param_groups[0]["params"][0].tolist()


@pytest.mark.parametrize("rule, preset", [one for one in PRESETS if one not in WITHOUT_ARGUMENT])
def test_a_preset_takes_the_steps_of_the_librarys(rule, preset):
    ours = BY_RULE[rule]
    assert steps_of(ours(parameters(), preset=preset)) == stepped(f"{rule}.{preset}")
    assert steps_of(ours(parameters(), preset=preset, lr=0.25, weight_decay=0.5)) == \
        stepped(f"{rule}.{preset}", lr=0.25, weight_decay=0.5)


@pytest.mark.parametrize("rule, preset", WITHOUT_ARGUMENT)
def test_a_preset_that_the_class_has_no_argument_for_is_refused(rule, preset):
    assert preset in library().presets(rule)
    ours = BY_RULE[rule]
    with pytest.raises(ValueError, match=f"^preset is {preset!r}, but {ours.__name__} has no argument for its "
                                         f"{WITHOUT_ARGUMENT[rule, preset]}, .*{rule}.{preset}$"):
        ours(parameters(), preset=preset)


def test_given_arguments_override_the_presets():
    optimizer = onepass.torch.NAdam(parameters(), 0.5, preset="keras", betas=(0.8, 0.99))
    assert {key: optimizer.defaults[key] for key in ("lr", "betas", "eps", "momentum_decay")} == \
        {"lr": 0.5, "betas": (0.8, 0.99), "eps": 1e-7, "momentum_decay": 1.0}
    assert onepass.torch.LAMB(parameters(), preset="nvlamb", always_adapt=False).defaults["always_adapt"] is False
    assert onepass.torch.LAMB(parameters()).defaults["always_adapt"] is False
    group, = onepass.torch.LAMB([{"params": parameters(), "lr": 0.5}], preset="nvlamb").param_groups
    assert (group["lr"], group["always_adapt"]) == (0.5, True)


def test_unknown_presets_and_arguments_are_refused():
    with pytest.raises(ValueError, match=r"^preset is 'none'; LAMB has 'apex', 'nvlamb', 'lambc', 'optax'$"):
        onepass.torch.LAMB(parameters(), preset="none")
    with pytest.raises(ValueError, match="^preset is 'apex'; SGD has none$"):
        onepass.torch.SGD(parameters(), preset="apex")
    with pytest.raises(TypeError, match="momentum"):
        onepass.torch.LAMB(parameters(), preset="apex", momentum=0.9)
    with pytest.raises(ValueError, match="learning rate"):
        onepass.torch.LAMB(parameters(), preset="apex", lr=-1.0)


def test_arguments_have_the_values_of_the_list():
    arguments = arguments_of(onepass.torch.AdEMAMix._spelling, "bitsandbytes")
    values = {one.name: one.default for one in library().hyperparameters("AdEMAMix.bitsandbytes")}
    assert arguments["betas"] == tuple(values[name] for name in ("beta1", "beta2", "beta3"))
    assert (arguments["weight_decay"], arguments["weight_decay_mode"]) == (values["weight_decay"], "after")
    assert arguments["maximize"] is False
