import pickle
import resource
import zipfile

import pytest
import torch

from model.checkpoints.checkpoint import FORMAT, load_checkpoint, save_atomically, save_checkpoint
from model.checkpoints.file_hash import hash_file
from model.errors import CheckpointError
from tests.samples.phantoms import TINY_SIZE, create_card, create_tiny_network, save_tiny_checkpoint


@pytest.fixture
def path(tmp_path):
    return save_tiny_checkpoint(tmp_path / "tiny.pth")


def test_a_checkpoint_survives_saving_and_loading(tmp_path):
    network = create_tiny_network()
    card = create_card(network)
    sha256 = save_checkpoint(tmp_path / "new" / "tiny.pth", network.state_dict(), card)
    loaded = load_checkpoint(tmp_path / "new" / "tiny.pth")
    inputs = torch.randn(2, 3, TINY_SIZE, TINY_SIZE)
    assert loaded.card == card
    assert loaded.sha256 == sha256 == hash_file(tmp_path / "new" / "tiny.pth")
    assert torch.equal(loaded.network(inputs), network(inputs))
    assert not loaded.network.training
    assert not any(parameter.requires_grad for parameter in loaded.network.parameters())


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"nothing\.pth: there is no such file"):
        load_checkpoint(tmp_path / "nothing.pth")


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.999])
def test_a_file_cut_short_is_refused(path, part):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(CheckpointError, match=r"tiny\.pth"):
        load_checkpoint(path)


class _Attack:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code from a checkpoint was run')",))


@pytest.mark.parametrize("save", [torch.save, lambda content, file: pickle.dump(content, file)])
def test_a_pickle_that_would_run_code_is_refused_and_not_run(path, save):
    with path.open("wb") as file:
        save(_Attack(), file)
    with pytest.raises(CheckpointError):
        load_checkpoint(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" + bytes(100), bytes(10_000)])
def test_another_file_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        load_checkpoint(path)


def test_another_zip_file_is_refused(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(CheckpointError):
        load_checkpoint(path)


def _content(path):
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.update(format="other/1"), FORMAT),
        (lambda content: content.pop("card"), "card"),
        (lambda content: content.pop("state_dict"), "state_dict"),
        (lambda content: content["state_dict"].popitem(), "do not fit"),
        (lambda content: content["state_dict"].update(extra=torch.zeros(1)), "do not fit"),
        (lambda content: content["state_dict"].update({"classifier.bias": torch.zeros(7)}), "do not fit"),
        (lambda content: content["state_dict"]["classifier.bias"].fill_(float("nan")), "not finite"),
        (lambda content: content["card"].update(architecture="no_such_net"), "no_such_net"),
        (lambda content: content["card"].update(classes=["a", "b"], self_test_logits=[0, 0]), "do not fit"),
    ],
)
def test_a_checkpoint_that_does_not_fit_itself_is_refused(path, change, message):
    content = _content(path)
    change(content)
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(path)


def test_a_plain_state_dict_is_refused(path):
    torch.save(create_tiny_network().state_dict(), path)
    with pytest.raises(CheckpointError, match="python -m training fit"):
        load_checkpoint(path)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(path):
    before = path.read_bytes()
    with pytest.raises((AttributeError, pickle.PicklingError)):
        save_atomically(path, {"cannot be saved": lambda: None})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_is_an_error_that_names_the_file_and_leaves_the_old_one(tmp_path):
    path = save_tiny_checkpoint(tmp_path / "tiny.pth")
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(OSError, match="disk full") as caught:
            save_tiny_checkpoint(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename == str(path)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [before]
