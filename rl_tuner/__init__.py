"""Agents that move a GAN's latent point until its bar has the density and syncopation asked for."""
