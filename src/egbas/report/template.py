# SPDX-License-Identifier: MIT
"""The pages' templates, which lie beside this file; each is compiled once in a process."""

import functools
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template


@functools.cache
def template(name: str) -> Template:
    """Find a template by the name of its file: what is put in is escaped, and what is left out is an error."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
