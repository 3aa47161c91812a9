"""The rows of `benchmarks/reliability.py`: each module measures some, each function says which."""
