from model.checkpoints.checkpoint import load_checkpoint
from model.engines.loading import load_engine
from training.comparison.costs import measure_costs


def test_what_a_system_costs(tiny_pair):
    checkpoint, exported = tiny_pair
    costs = measure_costs(checkpoint, exported, load_engine(exported))
    network = load_checkpoint(checkpoint).network
    assert costs.parameters == sum(weight.numel() for weight in network.parameters())
    assert costs.bytes == exported.stat().st_size
    assert 0 < costs.latency_ms <= costs.slowest_ms
    assert costs.engine == "onnxruntime"
