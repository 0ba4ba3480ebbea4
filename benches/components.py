"""The components of Wan's models as diffusers and transformers build them, from published configs and without checkpoints.

Gives each component's module, the inputs of one pass, what the pipeline holds beside them and the pass itself, on any device
and under FakeTensorMode too.
Sizes are px of the video, frames are those of the video (4n + 1), dtypes are torch's.
"""

from collections.abc import Callable

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModel, UMT5Config, UMT5EncoderModel

from rows import Case

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
"""The data types of rows, by the names that policies give them."""

PROMPT_TOKENS = 512
"""Tokens of a prompt, padded: max_sequence_length of WanPipeline.__call__, diffusers 0.42.1."""

IMAGE_TOKENS = 257
"""Tokens of the image encoder: 16 x 16 patches of 14 px, and the class."""

IMAGE_EDGE = 224
"""Edge of the image that the image encoder sees, px."""

_SMALL = {"num_attention_heads": 12, "num_layers": 30, "ffn_dim": 8960}
_LARGE = {"num_attention_heads": 40, "num_layers": 40, "ffn_dim": 13824}

TRANSFORMERS = {
    "t2v-1.3b": _SMALL,
    "t2v-14b": _LARGE,
    "i2v-14b": _LARGE | {"in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 5120},
    "t2v-a14b": _LARGE,
    "i2v-a14b": _LARGE | {"in_channels": 36},
    "ti2v-5b": {
        "num_attention_heads": 24,
        "num_layers": 30,
        "ffn_dim": 14336,
        "in_channels": 48,
        "out_channels": 48,
    },
}
"""What each transformer's config says beside the defaults of WanTransformer3DModel; of A14B models, one expert.

Source: transformer/config.json of Wan-AI's repositories Wan2.1-T2V-1.3B-Diffusers, Wan2.1-T2V-14B-Diffusers,
Wan2.1-I2V-14B-720P-Diffusers, Wan2.2-T2V-A14B-Diffusers, Wan2.2-I2V-A14B-Diffusers and Wan2.2-TI2V-5B-Diffusers,
as scripts/convert_wan_to_diffusers.py of diffusers writes them.
"""

EXPANDED_TIMESTEPS = {"ti2v-5b"}
"""Models whose pipeline gives every token its own timestep: expand_timesteps of model_index.json."""

VAES = {
    "vae-2.1": {},
    "vae-2.2": {
        "base_dim": 160,
        "decoder_base_dim": 256,
        "z_dim": 48,
        "dim_mult": [1, 2, 4, 4],
        "num_res_blocks": 2,
        "attn_scales": [],
        "temperal_downsample": [False, True, True],
        "is_residual": True,
        "in_channels": 12,
        "out_channels": 12,
        "patch_size": 2,
        "scale_factor_temporal": 4,
        "scale_factor_spatial": 16,
    },
}
"""What each VAE's config says beside the defaults of AutoencoderKLWan.

Source: vae/config.json of Wan-AI's Wan2.1-T2V-14B-Diffusers and Wan2.2-TI2V-5B-Diffusers.
"""

UMT5_XXL = {
    "vocab_size": 256384,
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
}
"""Source: config.json of google/umt5-xxl."""

CLIP_VIT_H = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "projection_dim": 1024,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
    "image_size": IMAGE_EDGE,
    "patch_size": 14,
    "hidden_act": "gelu",
}
"""Source: image_encoder/config.json of Wan-AI's Wan2.1-I2V-14B-720P-Diffusers."""


def vae_of(model: str) -> str:
    """The VAE whose latents a transformer denoises."""
    return "vae-2.2" if model == "ti2v-5b" else "vae-2.1"


def latent_shape(vae: str, case: Case) -> tuple[int, int, int, int, int]:
    """Shape of a video's latents: batch, channels, frames, height, width."""
    channels, edge = (48, 16) if vae == "vae-2.2" else (16, 8)
    return 1, channels, (case.frames - 1) // 4 + 1, case.height // edge, case.width // edge


def build(case: Case) -> nn.Module:
    """The component with weights of its dtype, on the default device, ready for its phase.

    Weights are the initial ones. As from_pretrained does it, the modules of _keep_in_fp32_modules of a transformer stay
    fp32. Tiles overlap by a quarter of their edge, as AutoencoderKLWan's own defaults do.
    """
    default = torch.get_default_dtype()
    torch.set_default_dtype(DTYPES[case.dtype])
    try:
        module = _construct(case.model)
    finally:
        torch.set_default_dtype(default)
    if case.model in TRANSFORMERS:
        _raise_to_fp32(module)
    if case.tile:
        stride = case.tile * 3 // 4
        module.enable_tiling(case.tile, case.tile, stride, stride)
    return module.eval()


def _construct(model: str) -> nn.Module:
    """The component with weights of the default dtype."""
    if model in TRANSFORMERS:
        return WanTransformer3DModel(**TRANSFORMERS[model])
    if model in VAES:
        return AutoencoderKLWan(**VAES[model])
    if model == "umt5-xxl":
        return UMT5EncoderModel(UMT5Config(**UMT5_XXL))
    return CLIPVisionModel(CLIPVisionConfig(**CLIP_VIT_H))


def _raise_to_fp32(module: nn.Module) -> None:
    """Gives fp32 to the parameters that from_pretrained keeps in it."""
    for name, parameter in module.named_parameters():
        if any(kept in name.split(".") for kept in module._keep_in_fp32_modules):
            parameter.data = parameter.data.float()


def inputs(case: Case) -> dict[str, torch.Tensor]:
    """What one pass of the phase takes, by argument, on the default device."""
    make = {"denoise": _denoise_inputs, "decode": _decode_inputs, "condition": _condition_inputs, "encode": _encode_inputs}
    return make[case.phase](case, DTYPES[case.dtype])


def _denoise_inputs(case: Case, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Latents, with those of the condition where the model takes some, the prompt and the step."""
    config = TRANSFORMERS[case.model]
    batch, channels, frames, height, width = latent_shape(vae_of(case.model), case)
    given = {
        "hidden_states": torch.zeros(batch, config.get("in_channels", channels), frames, height, width, dtype=dtype),
        "timestep": _timestep(case.model, frames * (height // 2) * (width // 2)),
        "encoder_hidden_states": torch.zeros(batch, PROMPT_TOKENS, 4096, dtype=dtype),
    }
    if "image_dim" in config:
        given["encoder_hidden_states_image"] = torch.zeros(batch, IMAGE_TOKENS, config["image_dim"], dtype=dtype)
    return given


def _timestep(model: str, tokens: int) -> torch.Tensor:
    """The step as the pipeline passes it, of the whole or of every token."""
    if model in EXPANDED_TIMESTEPS:
        return torch.zeros(1, tokens, dtype=torch.float32)
    return torch.zeros(1, dtype=torch.int64)


def _decode_inputs(case: Case, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The latents of a video."""
    return {"z": torch.zeros(latent_shape(case.model, case), dtype=dtype)}


def _condition_inputs(case: Case, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """A video, of which a pipeline fills the first frame and leaves the others grey."""
    return {"x": torch.zeros(1, 3, case.frames, case.height, case.width, dtype=dtype)}


def _encode_inputs(case: Case, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """A padded prompt, or an image."""
    if case.model == "clip-vit-h":
        return {"pixel_values": torch.zeros(1, 3, IMAGE_EDGE, IMAGE_EDGE, dtype=dtype)}
    prompt = {"input_ids": (1, PROMPT_TOKENS), "attention_mask": (1, PROMPT_TOKENS)}
    return {name: torch.ones(shape, dtype=torch.int64) for name, shape in prompt.items()}


def held(case: Case) -> list[torch.Tensor]:
    """What WanPipeline and WanImageToVideoPipeline hold beside the inputs while the phase computes, on the default device.

    The denoising is in the second pass of a step with guidance. Source: __call__ of both pipelines, diffusers 0.42.1.
    """
    if case.phase != "denoise":
        return []
    dtype = DTYPES[case.dtype]
    batch, channels, *size = latent_shape(vae_of(case.model), case)
    predicted = torch.zeros(batch, channels, *size, dtype=dtype)
    negative_prompt = torch.zeros(batch, PROMPT_TOKENS, 4096, dtype=dtype)
    return [predicted, negative_prompt, *_held_latents(case, (batch, channels, *size))]


def _held_latents(case: Case, shape: tuple[int, ...]) -> list[torch.Tensor]:
    """The fp32 latents from which the input was cast, with the condition or the mask that goes with them."""
    batch, channels, *size = shape
    taken = TRANSFORMERS[case.model].get("in_channels", channels)
    if taken > channels:
        condition = torch.zeros(batch, taken - channels, *size)
        return [torch.zeros(shape), condition]
    mask = torch.zeros(shape)
    step = [torch.zeros((), dtype=torch.int64)] if case.model in EXPANDED_TIMESTEPS else []
    latents = [] if case.dtype == "fp32" else [torch.zeros(shape)]
    return [mask, *step, *latents]


def one_pass(module: nn.Module, case: Case) -> Callable[..., object]:
    """The call that makes one pass of the phase; it takes what `inputs` gives."""
    return {
        "denoise": lambda **given: module(**given, return_dict=False)[0],
        "decode": lambda z: module.decode(z, return_dict=False)[0],
        "condition": lambda x: module.encode(x, return_dict=False)[0].mode(),
        "encode": lambda **given: module(**given, output_hidden_states=case.model == "clip-vit-h"),
    }[case.phase]
