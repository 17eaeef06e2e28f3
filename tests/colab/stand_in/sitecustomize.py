"""Makes the folder that COLAB_STAND_IN names a slow Drive whose every fifth call fails."""

import builtins
import errno
import io
import itertools
import os
import time

DRIVE = os.path.join(os.environ["COLAB_STAND_IN"], "drive")  # noqa: PTH118
EVERY = int(os.environ.get("COLAB_FAILS_EVERY", "5"))
calls = itertools.count(1)


def flaky(call):
    def tried(path, *args, **kwargs):
        if isinstance(path, str | os.PathLike) and os.fspath(path).startswith(DRIVE):
            time.sleep(0.002)
            number = next(calls)
            if number % EVERY == 0:
                failure = errno.ENOTCONN if number % (2 * EVERY) else errno.EIO
                with real_open(os.path.join(os.environ["COLAB_STAND_IN"], "failed"), "a") as log:  # noqa: PTH118
                    log.write(f"{call.__name__} {os.fspath(path)}\n")
                raise OSError(failure, os.strerror(failure), os.fspath(path))
        return call(path, *args, **kwargs)

    return tried


real_open = open
builtins.open = io.open = flaky(open)
os.mkdir, os.replace, os.rename = map(flaky, (os.mkdir, os.replace, os.rename))
