"""Jobs that run concurrently in threads."""

import threading
from collections.abc import Iterator

import pytest

from langchain_videochat.utils.concurrency import iter_concurrent


def letters(text: str) -> Iterator[str]:
    yield from text


@pytest.mark.parametrize("max_workers", [1, 3, 20])
def test_every_result_is_yielded_once(max_workers: int) -> None:
    jobs = [letters(f"{number}{number}") for number in range(10)]
    assert sorted(iter_concurrent(jobs, max_workers)) == sorted("00112233445566778899")


def test_no_jobs_yield_no_results() -> None:
    assert list(iter_concurrent([], 4)) == []


def test_results_arrive_before_their_job_has_ended() -> None:
    resume = threading.Event()

    def job() -> Iterator[int]:
        yield 1
        assert resume.wait(60)
        yield 2

    results = iter_concurrent([job()], 2)
    assert next(results) == 1
    resume.set()
    assert list(results) == [2]


def test_jobs_are_requested_only_when_a_thread_is_free() -> None:
    resume = threading.Event()
    requested: list[int] = []

    def jobs() -> Iterator[Iterator[int]]:
        for number in range(6):
            requested.append(number)
            yield job()

    def job() -> Iterator[int]:
        yield len(requested)
        assert resume.wait(60)

    results = iter_concurrent(jobs(), 2)
    next(results)
    next(results)
    assert requested == [0, 1]
    resume.set()
    assert len(list(results)) == 4


def test_an_error_in_a_job_is_raised_and_stops_the_others() -> None:
    started: list[int] = []

    def job(number: int) -> Iterator[int]:
        started.append(number)
        yield number
        if number == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(iter_concurrent(map(job, range(1000)), 1))
    assert started == [0, 1, 2]


def test_an_error_in_the_iterable_of_jobs_is_raised() -> None:
    def jobs() -> Iterator[Iterator[str]]:
        yield letters("a")
        raise ZeroDivisionError

    results = iter_concurrent(jobs(), 3)
    with pytest.raises(ZeroDivisionError):
        list(results)


def test_closing_the_iterator_ends_the_jobs() -> None:
    closed = threading.Event()
    ended = threading.Event()

    def job() -> Iterator[int]:
        try:
            yield 1
            assert closed.wait(60)
            yield 2
            yield 3
        finally:
            ended.set()

    results = iter_concurrent([job()], 1)
    next(results)
    results.close()  # type: ignore[attr-defined]
    closed.set()
    assert ended.wait(60)
