"""The turn goes to whoever has waited longest."""

from __future__ import annotations

import threading

from actors.turn import Turn

WAIT_MAX_S = 10


def test_the_turn_is_exclusive() -> None:
    turn, inside, most = Turn(), 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(500):
            with turn:
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (inside, most) == (0, 1)


def test_whoever_lets_go_does_not_get_it_back_before_those_who_wait() -> None:
    turn, order = Turn(), []
    waits = threading.Event()

    def wait_for_it() -> None:
        waits.set()
        with turn:
            order.append("waiting")

    turn.acquire()
    thread = threading.Thread(target=wait_for_it)
    thread.start()
    assert waits.wait(WAIT_MAX_S)
    while not turn._waiting:
        threading.Event().wait(0)
    turn.release()
    with turn:
        order.append("again")
    thread.join(WAIT_MAX_S)
    assert order == ["waiting", "again"]
