"""What holds for all tests, however they are started."""

import signal

if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # nohup: children would inherit that they ignore it
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
