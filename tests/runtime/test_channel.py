import threading
from collections.abc import Callable

from streamseg.runtime.channel import Channel


def in_thread(target: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


def test_items_come_in_order_until_it_is_closed() -> None:
    channel: Channel[int] = Channel(None)
    for item in range(5):
        assert channel.put(item)
    channel.close()
    assert list(channel) == [0, 1, 2, 3, 4]


def test_a_full_channel_makes_the_producer_wait() -> None:
    channel: Channel[int] = Channel(2)
    taken: list[int] = []

    def produce() -> None:
        for item in range(100):
            channel.put(item)
        channel.close()

    producer = in_thread(produce)
    for item in channel:
        assert len(channel._items) <= 2
        taken.append(item)
    producer.join(10)
    assert taken == list(range(100))


def test_an_offer_is_refused_where_there_is_no_room() -> None:
    channel: Channel[int] = Channel(1)
    assert channel.offer(1)
    assert not channel.offer(2)
    channel.close()
    assert list(channel) == [1]


def test_cancelling_wakes_a_producer_that_waits() -> None:
    channel: Channel[int] = Channel(1)
    channel.put(0)
    outcomes: list[bool] = []
    producer = in_thread(lambda: outcomes.append(channel.put(1)))
    channel.cancel()
    producer.join(10)
    assert outcomes == [False]
    assert not channel.offer(2)


def test_cancelling_wakes_a_consumer_that_waits_and_throws_away_what_was_there() -> None:
    channel: Channel[int] = Channel(4)
    taken: list[int] = []
    consumer = in_thread(lambda: taken.extend(channel))
    channel.cancel()
    consumer.join(10)
    assert not consumer.is_alive()
    channel = Channel(4)
    channel.put(1)
    channel.cancel()
    assert list(channel) == []
