"""From data to noise: paths, predicted quantities, weightings, priors."""
