"""Pretrained models: finding, downloading, describing and sharing their weights."""
