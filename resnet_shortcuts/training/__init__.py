"""The recipe and the training loop."""
