"""Video inpainting networks and their discriminator."""
