"""What is known of a generator's latent space, and how actions move points in it."""
