"""LightningModules, and only those."""
