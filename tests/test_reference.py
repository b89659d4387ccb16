"""What is public is explained: each name has an example, which is run, and names each of its settings."""

import doctest
import inspect

import numpy as np
import pytest

import pisensory as ps

NEEDS = {
    "DaskExecutor": "distributed", "CarRacingTask": "Box2D", "PongTask": "ale_py", "perturb_env": "gymnasium",
    "register_envs": "gymnasium", "scale_action": "gymnasium", "GymTask": "gymnasium",
}  # fmt: skip
# The notes that a file gets are named by those who write it; all else is named by us.
NAMED_BY_USERS = {("save_policy", "about")}


@pytest.mark.parametrize("name", ps.__all__)
def test_each_public_name_has_an_example_that_is_true(name, tmp_path, monkeypatch):
    pytest.importorskip(NEEDS.get(name, "numpy"))
    monkeypatch.chdir(tmp_path)
    finder = doctest.DocTestFinder(recurse=False)
    (example,) = finder.find(getattr(ps, name), name, globs={"ps": ps, "np": np})
    assert example.examples, f"{name} has no example: give its docstring a section `Examples:`"
    said = []
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False).run(example, out=said.append)
    assert result.failed == 0, "".join(said)


def public_callables():
    for name in ps.__all__:
        thing = getattr(ps, name)
        yield name, thing
        if inspect.isclass(thing):
            for member in dir(thing):
                found = getattr(thing, member)
                if not member.startswith("_") and callable(found) and not hasattr(BaseException, member):
                    yield f"{name}.{member}", found


@pytest.mark.parametrize("name, thing", [pytest.param(*each, id=each[0]) for each in public_callables()])
def test_help_names_each_setting(name, thing):
    if inspect.isclass(thing) and issubclass(thing, BaseException):
        return
    for parameter in inspect.signature(thing).parameters.values():
        anything = parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        assert not anything or (name, parameter.name) in NAMED_BY_USERS, f"{name} takes {parameter}"


@pytest.mark.parametrize("name", ["train", "train_with_teacher", "clone", "evaluate", "rollout"])
def test_docstring_says_what_each_setting_is(name):
    function = getattr(ps, name)
    text = inspect.getdoc(function)
    for parameter in inspect.signature(function).parameters:
        assert f"\n    {parameter}: " in text, parameter
