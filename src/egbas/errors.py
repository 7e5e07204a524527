# SPDX-License-Identifier: MIT
"""The errors egbas raises; each message says what came, what was expected and what to do."""


class EgbasError(Exception):
    """Base of every error that egbas raises on purpose."""


class ShapeError(EgbasError, ValueError):
    """A tensor has the wrong shape, dtype or holds values that are not finite."""


class ConfigError(EgbasError, ValueError):
    """A setting is out of its range or contradicts another one."""


class LayerNotFoundError(EgbasError, LookupError):
    """A layer was named that the network does not have, or that cannot be used."""


class ModelNotFoundError(EgbasError, LookupError):
    """A model was named that neither the zoo nor the disk has."""


class NetworkError(EgbasError, RuntimeError):
    """The user's network raised, returned NaN, or cannot be explored as it is."""


class CheckpointError(EgbasError, RuntimeError):
    """A weights or latent file cannot be read, or does not hold what it should."""


class DataError(EgbasError, RuntimeError):
    """A data set is missing, incomplete or differs from its checksum."""


class StartOutsideRegionError(EgbasError, ValueError):
    """The query does not lie in the region it was supposed to span."""


class RunDirectoryError(EgbasError, OSError):
    """A run directory cannot be written or read."""


class MissingExtraError(EgbasError, ImportError):
    """An optional dependency is needed; the message names the extra to install."""
