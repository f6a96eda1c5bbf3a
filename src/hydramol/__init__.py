"""hydramol: Hydra-configured experiments in molecular machine learning on PyTorch Lightning."""

__version__ = "0.1.0"
