"""What a shortcut strategy costs: parameters, multiply-adds, memory and time."""

from resnet_shortcuts.callable_room import make_callable

make_callable(__name__)
