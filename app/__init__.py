"""The translation service: HTTP over `nmt.inference`. Knows nothing of tensors, files of models or search."""
