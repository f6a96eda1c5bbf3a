"""The shared vocabulary: keys, batches, protocols, units, errors, keyed randomness. Imports nothing of ours."""
