"""Plain, readable search algorithms. They see a model only through the `Stepper` seam, and know nothing of text."""
