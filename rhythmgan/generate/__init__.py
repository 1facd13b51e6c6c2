"""From latent points to music: paths between bars, phrases of bars, bars around others."""
