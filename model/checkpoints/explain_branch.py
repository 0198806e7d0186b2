"""An ONNX graph that computes its heat maps only when asked.

ONNX Runtime's inference builds run the whole graph, whichever outputs are fetched: only its training builds obey
`RunOptions.only_execute_path_to_fetches`, as profiles show. Every runtime obeys an `If`.
"""

import copy

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper


def explain_on_request(model: ModelProto) -> ModelProto:
    """Move the nodes that only `heatmaps` needs into the branch of an `If` on a new input `explain`."""
    graph = model.graph
    outputs = {output.name: output for output in graph.output}
    plain = _names_needed_for(graph, "logits") | _names_needed_for(graph, "features")
    always = [copy.deepcopy(node) for node in graph.node if node.output[0] in plain]
    branch = [copy.deepcopy(node) for node in graph.node if node.output[0] not in plain]
    shared = {name for node in always for name in node.input}
    branch_only = {name for node in branch for name in node.input} - shared
    constants = [copy.deepcopy(tensor) for tensor in graph.initializer]
    condition = helper.make_node(
        "If",
        ["explain"],
        ["heatmaps"],
        then_branch=_then_branch(branch, [tensor for tensor in constants if tensor.name in branch_only]),
        else_branch=_else_branch(),
    )
    inputs = [*graph.input, helper.make_tensor_value_info("explain", TensorProto.BOOL, [])]
    heatmaps = helper.make_tensor_value_info("heatmaps", TensorProto.FLOAT, ["maps", "rows", "columns"])
    rebuilt = helper.make_graph(
        [*always, condition],
        "brain_tumor_mri",
        inputs,
        [outputs["logits"], outputs["features"], heatmaps],
        initializer=[tensor for tensor in constants if tensor.name not in branch_only],
    )
    return helper.make_model(rebuilt, opset_imports=model.opset_import, ir_version=model.ir_version)


def _names_needed_for(graph: GraphProto, output: str) -> set[str]:
    producers = {name: node for node in graph.node for name in node.output}
    needed: set[str] = set()
    pending = [output]
    while pending:
        name = pending.pop()
        if name in producers and name not in needed:
            needed.update(producers[name].output)
            pending.extend(producers[name].input)
    return needed


def _then_branch(nodes: list[NodeProto], constants: list[TensorProto]) -> GraphProto:
    for node in nodes:
        node.output[:] = ["explained_heatmaps" if name == "heatmaps" else name for name in node.output]
    output = helper.make_tensor_value_info("explained_heatmaps", TensorProto.FLOAT, ["maps", "rows", "columns"])
    return helper.make_graph(nodes, "explain", [], [output], initializer=constants)


def _else_branch() -> GraphProto:
    nothing = helper.make_tensor("nothing", TensorProto.FLOAT, [0, 0, 0], [])
    node = helper.make_node("Constant", [], ["no_heatmaps"], value=nothing)
    output = helper.make_tensor_value_info("no_heatmaps", TensorProto.FLOAT, [0, 0, 0])
    return helper.make_graph([node], "skip", [], [output])
