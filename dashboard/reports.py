"""Django's own error reports, shown with DEBUG on: they keep silent about what logs keep."""

from collections.abc import ItemsView
from types import FrameType
from typing import Any

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter

from dashboard import logs


class Discreet(SafeExceptionReporterFilter):
    """Cleanses with DEBUG on too: a developer's screen is shared, and its text is pasted."""

    def is_active(self, request: HttpRequest | None) -> bool:
        return True

    def cleanse_setting(self, key: Any, value: Any) -> Any:
        if isinstance(key, str) and ("URL" in key or key == "LOCATION"):
            return logs.mask(str(value))
        cleansed = super().cleanse_setting(key, value)
        return logs.mask(cleansed) if isinstance(cleansed, str) else cleansed

    def get_traceback_frame_variables(
        self, request: HttpRequest | None, tb_frame: FrameType
    ) -> ItemsView[str, Any]:
        """Values as masked text: whatever a frame holds, a key in it is not shown."""
        shown = super().get_traceback_frame_variables(request, tb_frame)
        return {name: _Quiet(self.cleanse_setting(name, value)) for name, value in shown}.items()


class _Quiet:
    """Stands in for a value; its text is the value's, masked."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __repr__(self) -> str:
        return logs.mask(repr(self._value))
