"""Self-hosted classification of customer-support tickets."""

__version__ = "1.0.0"
