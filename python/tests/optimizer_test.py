"""onepass.Optimizer steps memory that Python owns, keeps it alive, and ends when nothing needs it. Formulas and
refusals of the library are tested in c/tests/onepass_c_test.py."""

import array
import ctypes
import gc
import struct
import threading
import weakref

import onepass
import pytest

START, GRADIENT = [0.5, -1.0, 2.0, 4.0], [1.0, -2.0, 0.5, 0.25]
AFTER = [0.5 - 0.25, -1.0 + 0.5, 2.0 - 0.125, 4.0 - 0.0625]  # one step of SGD with lr 0.25


def step_once(parameter):
    with onepass.Optimizer("SGD", [parameter], lr=0.25) as optimizer:
        optimizer.step()


def bits_of(values):
    return [struct.unpack("<I", struct.pack("<f", value))[0] >> 16 for value in values]


def test_memory_of_every_kind_with_the_buffer_protocol_is_stepped():
    numpy = pytest.importorskip("numpy")
    for make in (lambda numbers: array.array("f", numbers), lambda numbers: (ctypes.c_float * 4)(*numbers),
                 lambda numbers: memoryview(bytearray(struct.pack("4f", *numbers))).cast("f"),
                 lambda numbers: numpy.array(numbers, numpy.float32).reshape(2, 2)):
        value = make(START)
        step_once(onepass.parameter(value, make(GRADIENT), name="weight"))
        assert list(numpy.asarray(value).flat) == AFTER


def test_sixteen_bits_are_stepped_as_the_type_that_is_named():
    value, grad = array.array("H", bits_of(START)), array.array("H", bits_of(GRADIENT))
    step_once(onepass.parameter(value, grad, dtype="bfloat16", grad_dtype="bfloat16"))
    assert list(value) == bits_of(AFTER)
    value, grad = array.array("H", bits_of(START)), array.array("f", GRADIENT)
    step_once(onepass.parameter(value, grad, dtype="bfloat16"))
    assert list(value) == bits_of(AFTER)
    halves = array.array("H", struct.pack("4e", *START))
    step_once(onepass.parameter(halves, array.array("f", GRADIENT), dtype="float16"))
    assert struct.unpack("4e", halves) == tuple(AFTER)
    numpy = pytest.importorskip("numpy")
    halves = numpy.array(START, numpy.float16)
    step_once(onepass.parameter(halves, numpy.array(GRADIENT, numpy.float16)))
    assert halves.tolist() == AFTER


def test_the_shape_of_memory_or_of_the_caller_reaches_the_rules_that_read_it():
    numpy = pytest.importorskip("numpy")
    numbers = [0.1 * (7 * i % 24 - 12) for i in range(24)]

    def stepped(shape_of_memory, **members):
        value, grad = (numpy.array(numbers, numpy.float32).reshape(shape_of_memory) for _ in range(2))
        with onepass.Optimizer("Adafactor", [onepass.parameter(value, grad, name="w", **members)], lr=0.25) as one:
            one.step()
        return value.reshape(-1).tolist()

    of_matrix, of_vector = stepped((6, 4)), stepped(24)
    assert of_matrix != of_vector
    assert stepped(24, shape=(6, 4)) == of_matrix and stepped((6, 4), shape=()) == of_vector
    assert stepped((6, 4), shape=(2, 3, 4)) == stepped((2, 3, 4)) != of_matrix
    assert stepped((6, 4), shape=(24,), first=0) == of_vector
    with pytest.raises(onepass.Error, match='the shape of "w" has 20 elements, but the parameter has 24'):
        stepped(24, shape=(5, 4))
    with pytest.raises(onepass.Error, match='"w" is a shard .* but Adafactor takes sums over whole rows and columns'):
        stepped(24, shape=(12, 4), first=24)
    assert stepped((6, 4), first=24) == of_vector  # A shard's memory does not say what its tensor's shape is.


def test_a_preset_is_its_rule_with_other_settings():
    def stepped(rule, **hyperparameters):
        value = array.array("f", START)
        with onepass.Optimizer(rule, [onepass.parameter(value, array.array("f", GRADIENT))], **hyperparameters) as one:
            one.step()
        return list(value)

    assert stepped("RMSProp.keras") == stepped("RMSProp", lr=1e-3, alpha=0.9, eps=1e-7)
    assert stepped("RMSProp.keras", lr=0.5) == stepped("RMSProp", lr=0.5, alpha=0.9, eps=1e-7)
    assert stepped("RMSProp.keras") != stepped("RMSProp")


def test_perturbed_parameters_are_put_back_by_restore_and_by_a_step():
    value, grad = array.array("f", [1.0, 2.0]), array.array("f", [3.0, 4.0])
    with onepass.Optimizer("SGD", [onepass.parameter(value, grad)], lr=0.25) as optimizer:
        optimizer.perturb(rho=5.0)
        assert list(value) == [4.0, 6.0]  # by the gradient over its norm of 5
        optimizer.restore()
        assert list(value) == [1.0, 2.0]
        optimizer.perturb(rho=10.0, adaptive=True, eta=1.0)  # t is 2 and 3, t * t * g is 12 and 36
        assert value[0] == pytest.approx(1.0 + 10 * 12 / 180 ** 0.5, rel=1e-6)
        assert value[1] == pytest.approx(2.0 + 10 * 36 / 180 ** 0.5, rel=1e-6)
        with pytest.raises(onepass.Error, match="after perturb"):
            optimizer.perturb()
        optimizer.step()
    assert list(value) == [0.25, 1.0]


def test_a_parameter_without_gradient_or_elements_stays():
    value, empty = array.array("f", START), array.array("f")
    parameters = [onepass.parameter(value, name="still"), onepass.parameter(empty, empty, name="empty")]
    with onepass.Optimizer("AdamW", parameters, lr=1.0) as optimizer:
        optimizer.step()
    assert list(value) == START


def test_members_of_a_parameter_are_passed_on():
    groups = [("SGD", {"lr": 0.25}), ("SGD", {"lr": 0.0})]
    values = [array.array("f", START) for _ in groups]
    parameters = [onepass.parameter(value, array.array("f", GRADIENT), group=group)
                  for group, value in enumerate(values)]
    with onepass.Optimizer(groups, parameters) as optimizer:
        optimizer.step()
    assert [list(value) for value in values] == [AFTER, START]


@pytest.mark.parametrize("value, grad, options, sentence", [
    (bytes(16), None, {}, 'the value of "w" is read-only'),
    (memoryview(array.array("f", START))[::2], None, {}, 'the value of "w" is not contiguous'),
    (array.array("f", START), array.array("f", START[:3]), {},
     'the gradient of "w" has 3 elements, but its value has 4'),
    (array.array("d", START), None, {}, "the value of \"w\" has elements of the format 'd', which are not float32 or "),
    (array.array("H", [1]), None, {}, "elements of the format 'H', which are not float32 or float16; name the type of"),
    (array.array("f", START), None, {"dtype": "bfloat16"}, "elements of the format 'f', which are not bfloat16"),
    ([0.5], None, {}, 'the value of "w" is of list; it must have Python\'s buffer protocol'),
])
def test_memory_that_cannot_be_stepped_is_refused(value, grad, options, sentence):
    with pytest.raises(onepass.Error) as error:
        onepass.parameter(value, grad, name="w", **options)
    assert str(error.value).startswith("onepass: ") and sentence in str(error.value)


def test_the_optimizer_keeps_its_memory_alive_and_in_place():
    value, grad = array.array("f", START), array.array("f", GRADIENT)
    alive = weakref.ref(value)
    optimizer = onepass.Optimizer("SGD", [onepass.parameter(value, grad)], lr=0.25)
    with pytest.raises(BufferError):
        value.append(1.0)
    del value
    gc.collect()
    optimizer.step()
    assert list(alive()) == AFTER
    optimizer.close()
    gc.collect()
    assert alive() is None


def test_an_optimizer_that_is_closed_refuses_to_step_and_closes_again():
    optimizer = onepass.Optimizer("SGD", [onepass.parameter(array.array("f", START))])
    optimizer.close()
    optimizer.close()
    with pytest.raises(onepass.Error, match="optimizer is null"):
        optimizer.step()


def test_the_garbage_collector_ends_an_optimizer_once(monkeypatch):
    optimizer = onepass.Optimizer("SGD", [onepass.parameter(array.array("f", START))])
    calls, ended = optimizer.library.calls, []
    destroy = calls.onepass_destroy

    def count(handle):
        ended.append(bool(handle))
        destroy(handle)

    monkeypatch.setattr(calls, "onepass_destroy", count)
    optimizer.circle = optimizer
    del optimizer
    gc.collect()
    assert ended == [True]
    with pytest.raises(onepass.Error):
        onepass.Optimizer("Lion King", [onepass.parameter(array.array("f", START))])
    gc.collect()
    assert ended == [True]


def test_twelve_threads_step_optimizers_of_their_own():
    def train(values):
        parameter = onepass.parameter(values, array.array("f", [0.5] * len(values)))
        with onepass.Optimizer("AdamW", [parameter], lr=0.1) as optimizer:
            for _ in range(20):
                optimizer.step()

    models = [array.array("f", [1.0] * 20000) for _ in range(13)]
    train(models[0])
    threads = [threading.Thread(target=train, args=[model]) for model in models[1:]]
    [one.start() for one in threads]
    [one.join() for one in threads]
    assert all(model == models[0] for model in models)
    assert models[0][0] < 0.0
