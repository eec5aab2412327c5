"""The scripted runs, one module each. A module registers its script on import."""

from importlib import import_module
from pkgutil import iter_modules

from runs.simulator.script import Script, registered

for _module in sorted(module.name for module in iter_modules(__path__)):
    import_module(f"{__name__}.{_module}")

SCRIPTS: dict[str, Script] = registered()
