"""The library is found, loaded once at first use, and checked; what is wrong with it is said in one sentence."""

import os
import pathlib
import re
import signal
import threading

import onepass
import pytest
from onepass import _functions, _library
from support import LIBRARY, ROOT, VERSION, Line, fake_library, python, run

TRY = """
import onepass
try:
    onepass.library()
    print("loaded")
except onepass.Error as error:
    print(error)
"""


def test_import_loads_no_library_and_no_other_package(tmp_path):
    printed = python("import onepass, sys\n"
                     "print(sys.modules.keys() & {'torch', 'numpy', 'jax'}, 'onepass' in sys.modules)\n"
                     "print('libonepass' in open('/proc/self/maps').read())", library=tmp_path / "missing.so")
    assert printed == ["set() True", "False"]
    assert python("import onepass; onepass.library()\n"
                  "print('libonepass' in open('/proc/self/maps').read())", library=LIBRARY) == ["True"]


def test_a_missing_library_is_one_sentence_at_first_use(tmp_path):
    missing = tmp_path / "missing.so"
    assert python(TRY, library=missing) == [
        f"onepass: there is no library {missing}: correct or unset ONEPASS_LIBRARY, which names it"]
    beside = pathlib.Path(onepass.__file__).parent / "_lib/libonepass.so"
    if not beside.exists():
        assert python(TRY) == [f"onepass: there is no library {beside}: reinstall the package onepass, or set "
                               "ONEPASS_LIBRARY to the path of libonepass.so"]


def test_a_name_without_a_folder_is_a_file_of_the_present_folder():
    assert python(TRY, library=LIBRARY.name, cwd=LIBRARY.parent) == ["loaded"]


def test_a_file_that_is_no_library_is_refused(tmp_path):
    text = tmp_path / "text.so"
    text.write_text("this is no library" * 100)
    sentence, = python(TRY, library=text)
    assert re.fullmatch(rf"onepass: {text} is no library of onepass that loads here \(.*invalid ELF "
                        r"header\): correct.*", sentence)
    other = fake_library(tmp_path, 1, ["other_function"])
    sentence, = python(TRY, library=other)
    assert re.fullmatch(rf"onepass: {other} is no library of onepass .*undefined symbol: onepass_abi\): correct.*",
                        sentence)


def test_another_binary_interface_is_refused(tmp_path):
    other = fake_library(tmp_path, 7)
    assert python(TRY, library=other) == [f"onepass: {other} has the binary interface 7, but this package needs 1: "
                                          "correct or unset ONEPASS_LIBRARY, which names it"]


def test_a_library_that_lacks_a_function_is_refused(tmp_path):
    older = fake_library(tmp_path, 1, [name for name in [*_functions.ARGUMENTS, *_functions.OTHERS]
                                       if name != "onepass_step_some"])
    sentence, = python(TRY, library=older)
    assert re.fullmatch(rf"onepass: {older} is older than this package \(.*onepass_step_some\): correct .*", sentence)


def test_a_later_call_tries_again(tmp_path):
    again = TRY + f"import os; os.environ['ONEPASS_LIBRARY'] = {str(LIBRARY)!r}\n" + TRY
    assert python(again, library=tmp_path / "missing.so")[1] == "loaded"


def test_all_threads_have_one_library(monkeypatch):
    monkeypatch.setattr(_library, "_loaded", _library._Loaded())
    gate, found = threading.Barrier(8), []

    def load():
        gate.wait()
        found.append(onepass.library())

    threads = [threading.Thread(target=load) for _ in range(8)]
    [one.start() for one in threads]
    [one.join() for one in threads]
    assert len(found) == 8 and len(set(map(id, found))) == 1


def in_a_child(work):
    """Runs a function in a forked process, and returns its exit status: 0 if it returned true in time."""
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if work() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_forked_child_loads_the_library_though_the_lock_was_held(monkeypatch):
    loaded = _library._Loaded()
    monkeypatch.setattr(_library, "_loaded", loaded)
    with loaded.lock:
        assert in_a_child(lambda: onepass.library().version() == VERSION) == 0


def test_a_forked_child_steps_as_its_parent_does():
    lines = [Line([0.5] * 300000, [0.25] * 300000) for _ in range(2)]
    options = onepass.Options(threads=2)
    line, expected = lines
    optimizer, other = (onepass.Optimizer("AdamW", [one.parameter()], onepass.CPU, options, lr=0.1) for one in lines)
    with optimizer, other:
        [one.step() for one in (optimizer, other, other)]
        before = line.value[:]

        def step():
            optimizer.step()
            return line.value == expected.value

        assert in_a_child(step) == 0
        assert line.value == before
        assert step()


def test_the_version_is_that_of_cmake():
    assert onepass.__version__ == onepass.library().version() == VERSION
    assert f"\n## {VERSION}\n" in (ROOT / "CHANGELOG.md").read_text()


def test_the_library_exports_the_interface_alone():
    listed = run("nm", "-D", "--defined-only", LIBRARY).stdout.splitlines()
    names = {line.split()[-1] for line in listed}
    declared = {*_functions.ARGUMENTS, *_functions.OTHERS}
    assert declared <= names
    assert [name for name in names - declared if not name.startswith("onepass_walk_")] == []


def test_the_library_brings_its_own_cpp_library():
    listed = run("readelf", "-d", LIBRARY).stdout
    needed = set(re.findall(r"NEEDED.*\[(.*?)\]", listed))
    assert "libc.so.6" in needed
    assert {name for name in needed if re.match("libstdc|libcu", name)} == set()


def test_an_unknown_rule_is_refused_by_name():
    with pytest.raises(onepass.Error, match='there is no rule "adamw"; the rules are: .*AdamW'):
        onepass.Optimizer("adamw", [Line([1.0]).parameter()])


def test_the_programs_in_the_documentation_run():
    text = (ROOT / "docs/python/package.md").read_text()
    programs = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(programs) == 2
    printed = [python(program, library=LIBRARY) for program in programs]
    assert printed[0] == []
    shown = re.search(r"```\n(AdamW over .*?)```", text, re.S).group(1).splitlines()
    assert len(shown) == 5 and [line for line in shown if line not in printed[1]] == []


def test_presets_are_listed_with_their_sentences_and_settings():
    library = onepass.library()
    assert list(library.presets("LAMB")) == ["apex", "nvlamb", "lambc", "optax"]
    assert all(meaning.endswith(".") for meaning in library.presets("LAMB").values())
    assert library.presets("SGD") == {}
    usual, preset = ({one.name: one.default for one in library.hyperparameters(rule)}
                     for rule in ("LAMB", "LAMB.nvlamb"))
    assert {name for name in usual if usual[name] != preset[name]} == {"always_adapt"}
    for refused in (library.presets, library.hyperparameters):
        with pytest.raises(onepass.Error, match='there is no rule "LAMP"'):
            refused("LAMP")
    with pytest.raises(onepass.Error, match='LAMB has no preset "none"; it has these: apex, nvlamb, lambc, optax'):
        library.hyperparameters("LAMB.none")
