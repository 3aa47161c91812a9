"""What every test runs under. Fixtures of one part live in that part's own conftest or test file."""

import os
import signal

# One thread a process, set before any test imports torch: figures and timings then do not depend on who else runs.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell starts what runs in its background with SIGINT ignored, and programs that tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from hypothesis import settings

# Same examples in every run; no deadline, because a busy machine is not a bug.
settings.register_profile("default", derandomize=True, deadline=None)
settings.load_profile("default")
