"""Data sets, transforms, batching, collate, one DataModule."""
