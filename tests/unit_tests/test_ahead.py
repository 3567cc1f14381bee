"""Several jobs that are followed in threads."""

import threading
from collections.abc import Iterator

import pytest

from langchain_videochat.utils.concurrency import iter_concurrent


def letters(text: str) -> Iterator[str]:
    yield from text


@pytest.mark.parametrize("at_once", [1, 3, 20])
def test_all_that_jobs_yield_is_yielded_once(at_once: int) -> None:
    jobs = [letters(f"{number}{number}") for number in range(10)]
    assert sorted(iter_concurrent(jobs, at_once)) == sorted("00112233445566778899")


def test_no_jobs_yield_nothing() -> None:
    assert list(iter_concurrent([], 4)) == []


def test_a_result_comes_before_its_job_has_ended() -> None:
    go_on = threading.Event()

    def job() -> Iterator[int]:
        yield 1
        assert go_on.wait(60)
        yield 2

    results = iter_concurrent([job()], 2)
    assert next(results) == 1
    go_on.set()
    assert list(results) == [2]


def test_jobs_are_taken_when_there_is_a_thread_for_them() -> None:
    go_on = threading.Event()
    taken: list[int] = []

    def jobs() -> Iterator[Iterator[int]]:
        for number in range(6):
            taken.append(number)
            yield job()

    def job() -> Iterator[int]:
        yield len(taken)
        assert go_on.wait(60)

    results = iter_concurrent(jobs(), 2)
    next(results)
    next(results)
    assert taken == [0, 1]
    go_on.set()
    assert len(list(results)) == 4


def test_an_error_of_a_job_is_raised_and_the_others_end() -> None:
    begun: list[int] = []

    def job(number: int) -> Iterator[int]:
        begun.append(number)
        yield number
        if number == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(iter_concurrent(map(job, range(1000)), 1))
    assert begun == [0, 1, 2]


def test_an_error_of_what_gives_the_jobs_is_raised() -> None:
    def jobs() -> Iterator[Iterator[str]]:
        yield letters("a")
        raise ZeroDivisionError

    results = iter_concurrent(jobs(), 3)
    with pytest.raises(ZeroDivisionError):
        list(results)


def test_who_leaves_lets_the_jobs_end() -> None:
    left = threading.Event()
    ended = threading.Event()

    def job() -> Iterator[int]:
        try:
            yield 1
            assert left.wait(60)
            yield 2
            yield 3
        finally:
            ended.set()

    results = iter_concurrent([job()], 1)
    next(results)
    results.close()  # type: ignore[attr-defined]
    left.set()
    assert ended.wait(60)
