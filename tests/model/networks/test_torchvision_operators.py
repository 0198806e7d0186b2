import importlib

import pytest

from model.networks.torchvision_operators import import_torchvision


def test_torchvision_can_be_imported_any_number_of_times():
    import_torchvision()
    import_torchvision()
    assert importlib.import_module("torchvision").__version__


def test_other_import_errors_are_not_hidden(monkeypatch):
    def fail(name):
        raise RuntimeError("something else")

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(RuntimeError, match="something else"):
        import_torchvision()
