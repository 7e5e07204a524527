# SPDX-License-Identifier: MIT
"""Networks of other people, small and with random weights, as ``--model benchmarks.family_networks:NAME`` takes them.

Each is built of its project's own classes, which have to be installed or on the path; nothing is copied here. Weights
are drawn with a fixed seed. Three are trained: ``lenet`` is egbas's own, ``taef2`` and ``faces`` need a file.
"""

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.spectral_norm import SpectralNorm

import egbas
from benchmarks.taef2 import decoder


def _made(build: Callable[[], nn.Module], latent: egbas.LatentSpace, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build()
    setattr(network, "latent", latent)  # noqa: B010  egbas reads it
    return network.eval().requires_grad_(False)


def _normal(*shape: int) -> egbas.LatentSpace:
    return egbas.LatentSpace(shape=shape)


def _of(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


def lenet() -> nn.Module:
    """The embedded classifier: from an image of 28 x 28 to ten scores."""
    from egbas.zoo.models import load_classifier

    return _made(lambda: load_classifier("lenet-mnist"), _normal(1, 28, 28))


def resnet() -> nn.Module:
    """A ResNet of transformers: from an image to features 32 x 4 x 4."""
    config = _of("transformers", "ResNetConfig")(
        embedding_size=16, hidden_sizes=[16, 32], depths=[2, 2], layer_type="basic"
    )
    return _made(lambda: _of("transformers", "ResNetModel")(config), _normal(3, 32, 32))


def vit() -> nn.Module:
    """A vision transformer of transformers: from an image to 17 tokens of 32."""
    config = _of("transformers", "ViTConfig")(
        hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64, image_size=16, patch_size=4
    )
    return _made(lambda: _of("transformers", "ViTModel")(config, add_pooling_layer=False), _normal(3, 16, 16))


def mobilenet() -> nn.Module:
    """A MobileNetV2 of transformers: from an image to features."""
    config = _of("transformers", "MobileNetV2Config")(depth_multiplier=0.25, image_size=32, initializer_range=0.3)
    return _made(lambda: _of("transformers", "MobileNetV2Model")(config, add_pooling_layer=False), _normal(3, 32, 32))


def gpt2_block() -> nn.Module:
    """Two blocks of GPT-2: from embeddings 8 x 32 to the next ones."""
    config = _of("transformers", "GPT2Config")(n_embd=32, n_head=4, n_layer=2, n_positions=8)
    config._attn_implementation = "eager"
    block = _of("transformers.models.gpt2.modeling_gpt2", "GPT2Block")
    return _made(lambda: nn.Sequential(block(config, layer_idx=0), block(config, layer_idx=1)), _normal(8, 32))


def bert() -> nn.Module:
    """The encoder of BERT: from embeddings 8 x 32 through three blocks."""
    config = _of("transformers", "BertConfig")(
        hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64
    )
    config._attn_implementation = "eager"
    encoder = _of("transformers.models.bert.modeling_bert", "BertEncoder")
    return _made(lambda: encoder(config), _normal(8, 32))


def autoencoder_kl() -> nn.Module:
    """The decoder of a diffusers AutoencoderKL: from 4 x 8 x 8 to 3 x 16 x 16."""

    def build() -> nn.Module:
        return _of("diffusers", "AutoencoderKL")(
            block_out_channels=(16, 32),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=8,
            latent_channels=4,
        ).decoder

    return _made(build, _normal(4, 8, 8))


def autoencoder_tiny() -> nn.Module:
    """The decoder of a diffusers AutoencoderTiny: from 4 x 4 x 4 to 3 x 32 x 32."""

    def build() -> nn.Module:
        decoder: nn.Module = _of("diffusers", "AutoencoderTiny")(
            decoder_block_out_channels=(16,) * 4, encoder_block_out_channels=(16,) * 4, latent_channels=4
        ).decoder
        with torch.no_grad():
            for weight in decoder.parameters():
                weight.mul_(1 if weight.ndim == 1 else 2)  # or else all images are nearly the same
        return decoder

    return _made(build, _normal(4, 4, 4))


def unet() -> nn.Module:
    """One step of a diffusers UNet with a prompt: from noise 4 x 8 x 8 to its estimate."""

    def build() -> nn.Module:
        return _of("diffusers", "UNet2DConditionModel")(
            sample_size=8,
            block_out_channels=(16, 32),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=24,
            attention_head_dim=8,
            norm_num_groups=8,
        )

    return _made(build, _normal(4, 8, 8))


def biggan() -> nn.Module:
    """A BigGAN of pytorch-pretrained-biggan with ten classes: from 32 numbers to 3 x 16 x 16."""
    config = _of("pytorch_pretrained_biggan", "BigGANConfig")(
        output_dim=16,
        z_dim=32,
        class_embed_dim=32,
        channel_width=8,
        num_classes=10,
        layers=[(False, 16, 16), (True, 16, 8), (True, 8, 4), (False, 4, 2), (False, 2, 1)],
        attention_layer_position=3,
    )

    def build() -> nn.Module:
        network = _of("pytorch_pretrained_biggan", "BigGAN")(config)
        for name, values in network.named_buffers():
            if name.endswith("running_vars"):  # zeros, before they are loaded
                values.fill_(1)
        for name, values in network.named_parameters():
            if name.endswith("bn.weight"):  # memory as it was found, likewise
                nn.init.ones_(values)
            if name.endswith("bn.bias"):
                nn.init.zeros_(values)
        for module in network.modules():  # drawn weights have the norm 1 after some steps only
            for hook in (each for each in module._forward_pre_hooks.values() if isinstance(each, SpectralNorm)):
                for _ in range(30):
                    hook.compute_weight(module, do_power_iteration=True)
        return network

    return _made(build, _normal(32))


class Inverse(nn.Module):
    """One step of a flow, from its base distribution towards the data; a module, so that its output has a name."""

    def __init__(self, transform: nn.Module) -> None:
        """Take the transform from data to base."""
        super().__init__()
        self.transform = transform

    def forward(self, noise: Tensor) -> Tensor:
        """Invert it."""
        return self.transform.inverse(noise)[0]  # pyright: ignore[reportCallIssue]


def flow() -> nn.Module:
    """Three coupling layers of nflows: from 16 numbers to 16 numbers."""

    def build() -> nn.Module:
        coupling = _of("nflows.transforms.coupling", "AffineCouplingTransform")
        network = _of("nflows.nn.nets", "ResidualNet")
        masks = [torch.arange(16) % 2 == place % 2 for place in range(3)]
        steps = [
            coupling(mask.float(), lambda n_in, n_out: network(n_in, n_out, hidden_features=24, num_blocks=1))
            for mask in masks
        ]
        return nn.Sequential(*map(Inverse, reversed(steps)))

    return _made(build, _normal(16))


class Picture(nn.Module):
    """A network of coordinates and a latent: the picture that it draws on a grid."""

    def __init__(self, field: nn.Module, size: int) -> None:
        """Take what gives the colour of a place."""
        super().__init__()
        self.field = field
        line = torch.linspace(-1, 1, size)
        self.register_buffer("grid", torch.cartesian_prod(line, line), persistent=False)

    def forward(self, z: Tensor) -> Tensor:
        """Ask for the colour of every place."""
        grid = self.get_buffer("grid")
        places = torch.cat([grid.expand(z.shape[0], *grid.shape), z[:, None].expand(-1, len(grid), -1)], dim=-1)
        side = int(len(grid) ** 0.5)
        return self.field(places).transpose(1, 2).unflatten(-1, (side, side))


def siren() -> nn.Module:
    """A SIREN of siren-pytorch over places and a latent: from 6 numbers to 3 x 12 x 12."""

    def build() -> nn.Module:
        net = _of("siren_pytorch", "SirenNet")(dim_in=8, dim_hidden=32, dim_out=3, num_layers=3, w0_initial=3.0)
        return Picture(net, 12)

    return _made(build, _normal(6))


def stylegan2() -> nn.Module:
    """The official StyleGAN2 with ten classes, in z: from 32 numbers to 3 x 32 x 32.

    ``training`` is a folder of NVlabs/stylegan3, which has the classes of stylegan2-ada, too.
    """
    generator = _of("training.networks_stylegan2", "Generator")
    return _made(
        lambda: generator(
            z_dim=32,
            c_dim=10,
            w_dim=32,
            img_resolution=32,
            img_channels=3,
            mapping_kwargs={"num_layers": 2},
            channel_base=512,
            channel_max=32,
            num_fp16_res=0,
        ),
        _normal(32),
    )


def stylegan3() -> nn.Module:
    """The official StyleGAN3-T, in z: from 32 numbers to 3 x 32 x 32."""
    generator = _of("training.networks_stylegan3", "Generator")
    return _made(
        lambda: generator(
            z_dim=32,
            c_dim=0,
            w_dim=32,
            img_resolution=32,
            img_channels=3,
            channel_base=512,
            channel_max=32,
            num_layers=6,
            num_critical=2,
            num_fp16_res=0,
        ),
        _normal(32),
    )


class OneStyle(nn.Module):
    """The synthesis network of a StyleGAN with one w for all of its layers."""

    def __init__(self, generator: nn.Module) -> None:
        """Take the generator."""
        super().__init__()
        self.synthesis = generator.synthesis
        self.num_ws: int = generator.num_ws  # pyright: ignore[reportAttributeAccessIssue]

    def forward(self, w: Tensor, noise_mode: str = "const") -> Tensor:
        """Repeat w for every layer."""
        return self.synthesis(w[:, None].repeat(1, self.num_ws, 1), noise_mode=noise_mode)


def _styles(generator: nn.Module, *, per_layer: bool) -> egbas.LatentSpace:
    """The prior of w, or of w+: the Gaussian of 2,000 draws of the mapping network."""
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(2000, 32, generator=rng)
    with torch.no_grad():
        labels = torch.zeros(len(z), 10)
        labels[:, 3] = 1
        ws: Tensor = generator.mapping(z, labels)  # pyright: ignore[reportCallIssue]
    if not per_layer:
        return egbas.LatentSpace(shape=(32,), prior=egbas.Empirical(ws[:, 0]))
    order = torch.stack([torch.randperm(len(z), generator=rng) for _ in range(ws.shape[1])], dim=1)
    mixed = torch.stack([ws[order[:, place], place] for place in range(ws.shape[1])], dim=1)
    return egbas.LatentSpace(shape=tuple(ws.shape[1:]), prior=egbas.Empirical(mixed.flatten(1)))


def stylegan2_w() -> nn.Module:
    """The same StyleGAN2 in w."""
    generator = stylegan2()
    return _made(lambda: OneStyle(generator), _styles(generator, per_layer=False))


def stylegan2_w_plus() -> nn.Module:
    """The same in w+: a style of its own for every layer; ``synthesis`` of the official class, as it is."""
    generator = stylegan2()
    synthesis = generator.synthesis
    assert isinstance(synthesis, nn.Module)
    return _made(lambda: synthesis, _styles(generator, per_layer=True))


def taef2() -> nn.Module:
    """The trained decoder of TAEF2, of latents of 32 x 4 x 4: images of 3 x 32 x 32."""
    return _made(decoder, _normal(32, 4, 4))
