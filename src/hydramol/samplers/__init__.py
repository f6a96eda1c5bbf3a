"""From noise to structures, given a denoiser."""
