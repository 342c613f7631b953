"""Networks: modules, parameters, functions, starting values."""

from gradstone.nn import functional, init, modules, utils
from gradstone.nn.modules import *
from gradstone.nn.modules import __all__ as _modules
from gradstone.nn.parameter import Parameter

__all__ = ["Parameter", "functional", "init", "modules", "utils", *_modules]
