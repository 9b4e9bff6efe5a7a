"""``python -m resnet_shortcuts.cli`` is ``rsc``."""

from resnet_shortcuts.cli import main

main()
