"""Files worked on by all cores: order, errors, and how far ahead."""

import threading
import time

import cv2
import pytest

from anna import pool


def test_results_come_in_order_whatever_takes_longest():
    def _slow_if_even(item):
        time.sleep(0.002 * (item % 2 == 0))
        return item

    assert list(pool.each(_slow_if_even, range(50))) == list(range(50))


def test_an_error_comes_after_the_results_before_it():
    found = []
    with pytest.raises(ZeroDivisionError):
        for result in pool.each(lambda item: 1 // (3 - item), range(600)):
            found.append(result)
    assert found == [0, 0, 1]


def test_works_ahead_only_so_far_and_stops_when_left():
    begun, lock = [], threading.Lock()

    def _note(item):
        with lock:
            begun.append(item)

    results = pool.each(_note, range(10_000))
    next(results)
    time.sleep(0.05)
    results.close()
    assert len(begun) <= pool._AHEAD + 1


def test_leaves_opencv_its_threads():
    before = cv2.getNumThreads()
    assert list(pool.each(lambda _: cv2.getNumThreads(), [0])) == [1]
    assert cv2.getNumThreads() == before


def test_nothing_to_do():
    assert list(pool.each(str, [])) == []
