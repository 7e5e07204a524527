# SPDX-License-Identifier: MIT
"""The options that commands share, each written once; the defaults they show are those of the config classes.

A setting that is not given is None: ``cli/settings.py`` then leaves the config's own default.
"""

import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

_SOURCES = Path(__file__).parents[1]


def defaults(path: str, name: str) -> Any:
    """Make a config of its defaults.

    Its file is run by itself: importing it would run its package's ``__init__``, which loads torch, and help is quick.

    Args:
        path: of the file, in ``egbas``.
        name: of the class.
    """
    return runpy.run_path(str(_SOURCES / path))[name]()


BEROPT = defaults("beropt/config.py", "BerOptConfig")
LEVELS = runpy.run_path(str(_SOURCES / "beropt/config.py"))  # the constants beside the config
GBRRT = defaults("samplers/gbrrt/config.py", "GbRrtConfig")


def shown(value: float | int | str | None) -> str:
    """What help says of a config's default."""
    return "automatic" if value is None else value if isinstance(value, str) else f"{value:g}"


# What is more is a typing error, and would end in one of memory, or never.
MOST_THREADS, MOST_SAMPLES, MOST_EVALUATIONS, MOST_STEPS = 1024, 1_000_000, 10**12, 1_000_000
MOST_QUERIES = 10_000

DEFAULT_MODEL, DEFAULT_LAYER, DEFAULT_GEOMETRY, DEFAULT_DEVICE = "dcgan-mnist-2d", "1", "auto", "cpu"

MODEL_HELP = (
    "A model of the zoo (see 'egbas models'), a checkpoint file, or your own network as package.module:callable."
)

# What is explored.

Model = Annotated[str, typer.Option(metavar="NAME|FILE", help=MODEL_HELP)]
Layer = Annotated[
    str,
    typer.Option(
        metavar="L",
        help="Number of a non-linearity or a dotted module path; .3 is the module 3. See 'egbas layers'.",
    ),
]
Latent = Annotated[
    str | None,
    typer.Option(
        metavar="SEED|FILE",
        help="The query, if not the one of --seed: another seed, or a .safetensors, .npy or .npz file.",
    ),
]
ImageFile = Annotated[
    str | None,
    typer.Option(
        "--image",
        metavar="FILE",
        help="The query as a picture: through the encoder where there is one, else by inversion.",
    ),
]
Encoder = Annotated[
    str | None,
    typer.Option(
        metavar="MODULE:CALLABLE",
        help="Maps images (n, c, h, w) to latents, for --image.",
        show_default="the model's own, if any",
    ),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Explore the nearest image also where it differs from --image by over 20 %."),
]
Bank = Annotated[
    str | None,
    typer.Option(
        "--bank",
        metavar="FILE|N",
        help="Latents that the inversion of --image begins with: those of a file, or so many draws of the prior.",
        show_default="1024 draws",
    ),
]
LatentSize = Annotated[
    str | None,
    typer.Option(
        metavar="SHAPE", help="Shape of your own network's latent, such as 64 or 512x1x1; a zoo model knows its own."
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Which network in a checkpoint file, such as netG, where there are several.",
        show_default="a moving average, or the generator",
    ),
]
Activation = Annotated[
    str | None,
    typer.Option(
        metavar="NAME[,LAST]",
        help="Activation of a network in a file that does not tell it: relu, leaky_relu:0.2; with its end: relu,tanh.",
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|N",
        help="Which output of the network is the image: index, key or attribute, such as 1, sample or images.-1.",
        show_default="its entry 'image', or the first that may be",
    ),
]
Boundary = Annotated[
    str | None,
    typer.Option(
        metavar="WHERE",
        help="Where units have their boundary: zero, turning (of SiLU, GELU, ...) or quantile:Q of the prior.",
        show_default="zero",
    ),
]
Classifier = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|module:callable",
        help="Judges the images, such as lenet-mnist; its layers are classifier.PATH, the model's generator.PATH.",
    ),
]
OwnClassifier = Annotated[
    str | None,
    typer.Option(
        "--classifier",
        metavar="NAME|module:callable",
        help="Says which samples have the query's class.",
        show_default="lenet-mnist for embedded models",
    ),
]
Critic = Annotated[
    str | None,
    typer.Option(
        metavar="module:callable",
        help="Network whose features of samples and query are compared.",
        show_default="the model's discriminator",
    ),
]
RegionOption = Annotated[
    str | None,
    typer.Option(
        "--region",
        metavar="class",
        help="Explore the decision region of the class that --classifier gives the query; with --layer, what both "
        "regions have in common.",
        show_default="the layer's",
    ),
]
Hold = Annotated[
    str | None,
    typer.Option(
        metavar="OUTPUT",
        help="What the kept units are to preserve: image, logits, probabilities, or another output by its name.",
        show_default="logits with --classifier, else image",
    ),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="NAME=VALUE",
        help="What the network's forward takes beside the latent: c=3, psi=0.7, noise_mode=const, c=[0,1], ws=@FILE. "
        "Repeatable.",
    ),
]
Geometry = Annotated[
    str,
    typer.Option(
        metavar="flat|sphere|auto",
        help="Of the latents; auto: a sphere where the network ignores the length of its latent, else flat.",
    ),
]

# Lists, in commands of many explorations.

Layers = Annotated[
    str, typer.Option(metavar="LIST", help="Layers: numbers, ranges or paths, such as 1-4 or relu1,relu3.")
]
Levels = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help="Levels, 1 (coarse) to 8 (fine): a list or a range, such as 1-8. Excludes --sparsity.",
        show_default=str(LEVELS["DEFAULT_LEVEL"]),
    ),
]
Seeds = Annotated[
    str, typer.Option(metavar="LIST", help="Of the queries and their explorations: a list or a range, such as 0-19.")
]
Latents = Annotated[
    str | None,
    typer.Option(
        metavar="SEED|FILE",
        help="The queries, if not those of --seed: all rows of a .safetensors, .npy or .npz file.",
    ),
]
Store = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder of finished tasks, such as a sweep's: what is there is not computed again, what is new goes in.",
    ),
]

# How: BerOpt, then GB-RRT.

Threshold = Annotated[
    float | None,
    typer.Option(metavar="P", help="Keep units with theta above P, 0 to 1.", show_default=shown(BEROPT.threshold)),
]
Sparsity = Annotated[
    float | None,
    typer.Option(
        metavar="WEIGHT",
        help="The paper's way to say how many units are kept: higher keeps fewer.",
        show_default="as the level says",
    ),
]
Level = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=LEVELS["COARSEST"],
        max=LEVELS["FINEST"],
        help="How faithful the kept units are at the query: 1 holds the coarse, 8 the details. Excludes --sparsity.",
        show_default=str(LEVELS["DEFAULT_LEVEL"]),
    ),
]
Repeats = Annotated[
    int,
    typer.Option(
        metavar="K",
        min=1,
        max=1000,
        help="Run BerOpt K times with other masks, and tell how much of the answer hangs on them.",
    ),
]
Delta = Annotated[
    float | None,
    typer.Option(
        metavar="D",
        help="Choose the coarsest level at which 95 % of the images lie within D of the query's, relative to its norm.",
    ),
]
Focus = Annotated[
    str | None,
    typer.Option(
        metavar="X0,Y0,X1,Y1|MASK.png",
        help="Look for the units of this part of the image: a box in pixels, or where a picture is not black.",
    ),
]
Judges = Annotated[
    list[str] | None,
    typer.Option(
        "--judge",
        metavar="module:callable",
        help="Scores images: a callable from images (n, c, h, w) to a dict of scores (n,); held or free? Repeatable.",
    ),
]
Features = Annotated[
    str | None,
    typer.Option(
        metavar="module:callable",
        help="Features of images (n, c, h, w), a row for each; distances are told in them, too.",
    ),
]
Units = Annotated[
    str | None,
    typer.Option(
        metavar="unit|channel|patch:N",
        help="What BerOpt keeps or leaves out as one: single units, channels, or patches of N x N positions.",
        show_default=shown(BEROPT.units),
    ),
]
Masks = Annotated[
    int | None,
    typer.Option(
        metavar="M",
        min=0,
        max=4096,
        help="Random masks a step of BerOpt. 0: none, so that no seed decides. With 64 two seeds share more units.",
        show_default="4, or 1 for large images",
    ),
]
MaxSteps = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        max=MOST_STEPS,
        help="Bound on BerOpt's gradient steps. A hundred give a first look at a large network, with a warning.",
        show_default=shown(BEROPT.max_steps),
    ),
]
HalfWidth = Annotated[
    float | None,
    typer.Option(
        metavar="I",
        help="Targets come from the box query +- I (a cap on a sphere), latent units.",
        show_default=shown(GBRRT.half_width),
    ),
]
StepSize = Annotated[
    float | None,
    typer.Option(
        metavar="DELTA",
        help="Length of every edge of the tree, latent units.",
        show_default=shown(GBRRT.step_size),
    ),
]
Iterations = Annotated[
    int | None,
    typer.Option(metavar="N", help="Candidates that GB-RRT tries.", show_default=shown(GBRRT.iterations)),
]

Samples = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=0,
        max=MOST_SAMPLES,
        help="Effective draws wanted of the exact sampler of the region; 0: the tree alone.",
    ),
]
MassOption = Annotated[
    bool,
    typer.Option(
        "--mass", help="Measure the prior mass of the region, too, where that takes minutes: at deeper layers."
    ),
]
MaxEvaluations = Annotated[
    int | None,
    typer.Option(
        metavar="E",
        min=1,
        max=MOST_EVALUATIONS,
        help="Latents that the exact sampler asks the region about at most; it says whether it converged.",
        show_default="500000, fewer for large networks",
    ),
]
DEFAULT_SAMPLES = 100

# On which machine, and what is printed.

Device = Annotated[str, typer.Option(help="Where the networks run, such as cpu or cuda.")]
Threads = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, max=MOST_THREADS, help="Processor threads of torch.", show_default="1 or all"),
]
AllowCode = Annotated[
    bool,
    typer.Option(
        "--allow-code",
        help="Import the Python code that the run names from anywhere, not from the current directory alone: it runs.",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a finished result in --out.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON, and nothing else, on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bar and no summary; warnings stay.")]
NoProgress = Annotated[bool, typer.Option("--quiet", help="No progress bar.")]


def words_of(given: Mapping[str, object]) -> list[str]:
    """Options and their values as words of a command line; None: not given; True: without a value; a list: repeated."""
    each = [(name, one) for name, value in given.items() for one in (value if isinstance(value, list) else [value])]
    return [word for name, one in each if one is not None for word in ([name] if one is True else [name, str(one)])]
