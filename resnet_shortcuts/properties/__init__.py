"""What strategies promise, what is measured of them, pictures and documents."""

from resnet_shortcuts.callable_room import make_callable

make_callable(__name__)
