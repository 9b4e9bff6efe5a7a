"""Which shortcut should a residual network use where the dimensions change? Measured side by side."""

__version__ = "0.1.0"
