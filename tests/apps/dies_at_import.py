"""An app that takes its process with it, without a word."""

import os
import signal

os.kill(os.getpid(), signal.SIGKILL)
