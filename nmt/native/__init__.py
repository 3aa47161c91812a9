"""Translation on CPUs without torch: encoder, decoder and beam search in C behind ctypes, NumPy arrays around them.

`build.py` compiles `src/` when the package is installed; `library.py` picks what this processor runs; `model.py` lays a
bundle's weights out for it; `engine.py` is the one class that the rest of the library sees.
"""
