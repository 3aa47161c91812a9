"""How good translations are, and pictures of it. Strings and numbers only: no torch, no model."""
