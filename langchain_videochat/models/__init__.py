"""Pretrained models: finding, fetching, describing and sharing their weights."""
