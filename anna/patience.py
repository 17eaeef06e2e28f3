"""How to use a disk that fails for a moment, as Google Drive in Colab does, and Windows."""

import errno
import logging
import time
from collections.abc import Callable

log = logging.getLogger(__name__)
WAITS = (0.5, 1, 2, 4, 8, 16)  # seconds before each new try
_PASSING = {
    errno.EIO,  # what Drive says when it is busy
    errno.ENOTCONN,  # what it says when it has come off
    errno.ESTALE,
    errno.EAGAIN,
    errno.EBUSY,
    errno.ETIMEDOUT,
    errno.ECONNABORTED,
    errno.ECONNRESET,
}


_HELD = (5, 32, 33)  # what Windows says of a file that a virus scanner has open for a moment


class DriveError(OSError):
    """A disk that stayed away; the message says what to do."""


def passing(error: BaseException) -> bool:
    """Returns whether trying again may help."""
    known = getattr(error, "errno", None) in _PASSING or getattr(error, "winerror", None) in _HELD
    return isinstance(error, OSError) and known and not isinstance(error, DriveError)


def patiently(call: Callable, *args, **kwargs):
    """Returns what `call` returns; waits and tries again where a disk fails for a moment.

    Raises:
        DriveError: If the disk stays away, after half a minute.
        OSError: At once, if the trouble is no passing one, such as a missing file or a full disk;
            after some seconds, if Windows goes on refusing a file.
    """
    for wait in (*WAITS, None):
        try:
            return call(*args, **kwargs)
        except OSError as error:
            if not passing(error):
                raise
            if getattr(error, "winerror", None) in _HELD and wait not in WAITS[:3]:
                raise  # held for longer: refused
            if wait is None:
                raise DriveError(
                    error.errno,
                    f"The disk must answer, and did not for {sum(WAITS):.0f} seconds. In Colab: "
                    "Runtime, Disconnect and delete runtime, then Run all; what is finished is "
                    f"kept. Received: {error}",
                ) from error
            log.info("tried again in %s s: %s", wait, error)
            time.sleep(wait)
    return None
