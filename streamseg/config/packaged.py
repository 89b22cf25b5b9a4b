"""Config files that come with the package, by name: `--config live`."""

from importlib.resources import files
from pathlib import Path

from ..errors import ConfigError

__all__ = ["PACKAGED_CONFIGS", "find_config"]

PACKAGED_CONFIGS = ("demo", "files", "live")


def find_config(name: str) -> Path:
    """The file of that name, or else the packaged one.

    Raises:
        ConfigError: there is neither.
    """
    path = Path(name)
    if path.exists():
        return path
    if name in PACKAGED_CONFIGS:
        return Path(str(files("streamseg").joinpath("data", "configs", f"{name}.yaml")))
    raise ConfigError(
        f"no config file {name!r}, expected a YAML file, or one of {', '.join(PACKAGED_CONFIGS)}: check the path"
    )
