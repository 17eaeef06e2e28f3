"""Many files worked on at once, by all cores, with their results in order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2

_AHEAD = 256  # results that may wait to be taken


def each(function: Callable[[Any], Any], items: Iterable) -> Iterator:
    """Yields what the function returns for each item, in their order.

    One thread a core, and OpenCV with one thread in each: its own would get in their way. The
    threads go on while a result is used, no more than 256 results ahead.

    Raises:
        Exception: The first that the function raises; the items after it are left.
    """
    before = cv2.getNumThreads()
    pool, waiting = ThreadPoolExecutor(os.cpu_count()), deque()
    cv2.setNumThreads(1)
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        cv2.setNumThreads(before)
