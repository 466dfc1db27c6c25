from __future__ import annotations

import threading
import time
from collections.abc import Collection
from queue import Empty, Queue

from airflow_vod.inbox.listeners import PollingListener
from airflow_vod.inbox.news import News


class Announcer:
    """A listener that reports what a test announces, and counts the threads that listen at once."""

    def __init__(self) -> None:
        self.said: Queue[str | None] = Queue()
        self.listening = 0
        self.most = 0
        self.closed = False

    def listen(self, timeout: float, stop: threading.Event | None) -> Collection[str | None]:
        """Wait for the test to announce something."""
        self.listening += 1
        self.most = max(self.most, self.listening)
        try:
            return [self.said.get(timeout=timeout)]
        except Empty:
            return ()
        finally:
            self.listening -= 1

    def close(self) -> None:
        """Record the call."""
        self.closed = True


def test_first_call_says_look() -> None:
    """A thread's first call returns True at once; the next one waits until the timeout."""
    news = News(Announcer)
    assert news.wait("queue", 60)
    began = time.monotonic()
    assert not news.wait("queue", 0.05)
    assert time.monotonic() - began >= 0.05
    news.close()


def test_each_thread_is_told_of_each_queue() -> None:
    """News of a queue reaches every thread that waits for it, once, and no thread that waits for another queue."""
    announcer = Announcer()
    news = News(lambda: announcer)
    ready = threading.Barrier(5)
    told: dict[int, list[bool]] = {}

    def wait(number: int, queue: str | None) -> None:
        news.wait(queue, 0)
        ready.wait()
        told[number] = [news.wait(queue, 0.8), news.wait(queue, 0)]

    queues = ["a", "a", None, "b"]
    threads = [threading.Thread(target=wait, args=each) for each in enumerate(queues)]
    for thread in threads:
        thread.start()
    ready.wait()
    announcer.said.put("a")
    for thread in threads:
        thread.join()
    assert told == {0: [True, False], 1: [True, False], 2: [True, False], 3: [False, False]}
    assert announcer.most == 1
    news.close()


def test_news_of_an_unknown_queue_is_for_everybody() -> None:
    """News of an unknown queue, as after a broken connection, reaches waits for every queue."""
    announcer = Announcer()
    news = News(lambda: announcer)
    news.wait("a", 0)
    news.wait("b", 0)
    announcer.said.put(None)
    assert news.wait("a", 1)
    assert news.wait("b", 0)
    news.close()


def test_news_between_two_waits_is_not_lost() -> None:
    """News announced while nobody waits is reported to the next wait."""
    announcer = Announcer()
    news = News(lambda: announcer)
    news.wait("a", 0)
    announcer.said.put("a")
    assert news.wait("a", 1)
    news.close()


def test_stop_ends_the_wait() -> None:
    """Setting `stop` ends a wait within half a second, not at the timeout."""
    news, stop = News(Announcer), threading.Event()
    news.wait("a", 0)
    threading.Timer(0.05, stop.set).start()
    began = time.monotonic()
    assert not news.wait("a", 60, stop)
    assert time.monotonic() - began < 20
    news.close()


def test_close_ends_all_waits() -> None:
    """Closing ends every wait, and closes the listener."""
    announcer = Announcer()
    news = News(lambda: announcer)
    threads = [threading.Thread(target=lambda: (news.wait("a", 0), news.wait("a", 60))) for _ in range(3)]
    for thread in threads:
        thread.start()
    news.close()
    for thread in threads:
        thread.join(3)
        assert not thread.is_alive()
    assert announcer.closed


def test_polling_tells_which_queue_grew() -> None:
    """Polling reports the queues whose position has changed, and tolerates a database that does not answer."""
    answers: list[dict[str, int] | None] = [{"a": 1}, {"a": 1}, {"a": 1, "b": 1}, None, {"a": 2, "b": 1}]
    listener = PollingListener(lambda: answers.pop(0))
    heard = [list(listener.listen(0, None)) for _ in range(4)]
    assert heard == [[], ["b"], [], ["a"]]
