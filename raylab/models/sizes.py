"""The scales at which every family of models comes."""

from dataclasses import dataclass, replace

from raylab.errors import UserError
from raylab.recipe import ModelSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """A scale: widths, layers (of an encoder-decoder in the encoder, and again in the decoder), and what goes with them.

    parameters: of an encoder-decoder; an encoder alone has somewhat less than half of them.
    """

    width: int
    inner: int
    heads: int
    layers: int
    vocab_size: int
    max_tokens: int
    parameters: str


SIZES = {
    "tiny": Size(width=96, inner=512, heads=4, layers=2, vocab_size=1900, max_tokens=64, parameters="0.8M"),
    "small": Size(width=320, inner=1280, heads=8, layers=5, vocab_size=8000, max_tokens=128, parameters="17M"),
    "base": Size(width=768, inner=3072, heads=12, layers=12, vocab_size=24000, max_tokens=512, parameters="217M"),
}


def size_of(spec: ModelSpec) -> Size:
    """The scale of a base model, with its own width and layers where it says so: what is inside a layer grows with the width,
    the number of heads stays. Raises UserError for a width that the heads cannot share."""
    size = SIZES[spec.scale]
    width = spec.width or size.width
    if width % size.heads:
        raise UserError(f"width is {width}; expected a multiple of {size.heads}, the attention heads at the scale {spec.scale}.")
    return replace(size, width=width, inner=size.inner * width // size.width, layers=spec.layers or size.layers)
