"""Train a recurrent neural translator on your own parallel text, and translate with it.

Importing this package starts no thread, reads no file and does not import torch.
"""

__version__ = "0.1.0"
