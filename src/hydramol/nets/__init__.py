"""Backbones and their layers. Bare ``nn.Module``s: no Hydra, no Lightning."""
