"""Text to ids and back. Knows nothing of tensors: above this package nobody sees ids, below it nobody sees text."""
