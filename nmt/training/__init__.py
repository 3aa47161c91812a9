"""From a recipe and parallel text to a bundle: loss, optimiser, checkpoints, and the loop itself."""
