"""Pure tensor functions: rotations, centring, Kabsch, distances, neighbour lists."""
