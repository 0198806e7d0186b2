import pytest
import torch
from torch import nn

from model.card import Head
from model.errors import CheckpointError
from model.networks.heads import OpposedLogits, create_head

FEATURES = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))


def test_opposed_logits_are_one_sigmoid_output():
    head = OpposedLogits(5)
    output, labels = head.linear(FEATURES)[:, 0], torch.tensor([0, 1, 1, 0, 1, 0])
    logits = head(FEATURES)
    assert torch.allclose(logits.softmax(dim=1)[:, 1], output.sigmoid(), atol=1e-6)
    ours = nn.functional.cross_entropy(logits, labels)
    theirs = nn.functional.binary_cross_entropy_with_logits(output, labels.float())
    assert torch.allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 5), (2, 5, 1, 1)])
def test_a_plain_head_is_one_linear_layer(shape):
    head = create_head(5, 3, Head())
    assert sum(parameter.numel() for parameter in head.parameters()) == 3 * 6
    assert head(torch.ones(shape)).shape == (2, 3)


def test_a_hidden_layer_and_its_normalisation_are_as_designed():
    plain, normalised = (create_head(5, 3, Head(hidden_units=4, batch_norm=norm)) for norm in (False, True))
    assert [type(layer) for layer in plain if not isinstance(layer, nn.Flatten | nn.Dropout | nn.Identity)] == [
        nn.Linear,
        nn.ReLU,
        nn.Linear,
    ]
    assert sum(isinstance(layer, nn.BatchNorm1d) for layer in normalised) == 1


def test_dropout_has_no_weights_so_that_serving_needs_none():
    trained = create_head(5, 3, Head(hidden_units=4), dropout=0.5, hidden_dropout=0.3)
    served = create_head(5, 3, Head(hidden_units=4))
    served.load_state_dict(trained.state_dict())
    assert torch.equal(served(FEATURES), trained.eval()(FEATURES))


def test_a_sigmoid_output_is_for_two_classes():
    with pytest.raises(CheckpointError, match="two classes"):
        create_head(5, 3, Head(output="sigmoid"))
