"""The doors: thin Hydra shells."""
