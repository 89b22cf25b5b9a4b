"""What the parsers of evaluation share: a mistake in the call is one line."""

import argparse
from typing import NoReturn

from ..errors import ConfigError

__all__ = ["Parser"]


class Parser(argparse.ArgumentParser):
    """Raises ConfigError where its base prints the usage and exits."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; `{self.prog} --help` lists what there is")
