"""newsroom: a small news aggregator (feeds in, indexed articles and digests out)."""

__version__ = "1.4.2"
