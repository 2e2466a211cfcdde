"""IBN-b: instance normalisation after the addition of a residual block."""

from torch import fx, nn

from calibrate.errors import ModelError
from calibrate.surgery.blocks import Block, addition, follow
from calibrate.surgery.kinds import channels
from calibrate.surgery.place import Replacement, place_
from calibrate.surgery.positions import stem
from calibrate.surgery.presets import stages


def ibn_b_(model: nn.Module) -> nn.Module:
    """Normalise each example by itself in the stem, and after the addition of the last block of stages 1 and 2.

    The stem's layers become instance normalisation with their own γ and β. The two blocks are rewritten as graphs of
    their calls, with a layer ``instance_norm`` (γ = 1, β = 0) between addition and activation: state-dict keys stay,
    and ``<block>.instance_norm.weight`` and ``.bias`` are new. Returns ``model``.

    Raises ModelError, with nothing changed, for a network without such blocks.

    Reference: Pan, Luo, Shi & Tang, Two at Once: Enhancing Learning and Generalization Capacities via IBN-Net.
    """
    last_blocks = [stage[-1] for stage in stages(model)[:2]]
    rewritten = {model.get_submodule(block.name): _with_instance_norm(model, block) for block in last_blocks}
    place_(model, dict.fromkeys(stem(model), Replacement("InstanceNorm", {"scaled": True})))
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if module in rewritten:
            model.set_submodule(name, rewritten[module])
    return model


def _with_instance_norm(model: nn.Module, block: Block) -> fx.GraphModule:
    if not block.residual:
        raise ModelError(
            f"the block {block.name}, the last of its stage, does not add its input, so there is no addition to "
            "normalise after; use the preset `ibn_a`."
        )
    module, last = model.get_submodule(block.name), model.get_submodule(block.sites[-1])
    rewritten = fx.GraphModule(module, follow(module), type(module).__name__)
    for name, part in rewritten.named_modules():
        part.training = module.get_submodule(name).training
    layer = nn.GroupNorm(channels(last), channels(last), last.eps)  # type: ignore[arg-type]
    rewritten.add_submodule("instance_norm", layer.to(next(module.parameters())).train(module.training))
    join = addition(rewritten.graph)
    assert join is not None
    with rewritten.graph.inserting_after(join):
        normalised = rewritten.graph.call_module("instance_norm", (join,))
    join.replace_all_uses_with(normalised, lambda user: user is not normalised)
    rewritten.recompile()
    return rewritten
