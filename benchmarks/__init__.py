"""Programs behind the figures in the README and on the cards: each prints what it measured, on what, and how."""
