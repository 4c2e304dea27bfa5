"""What each client does until the broker is killed, and what it does so that the books can balance.

Belongs here: one class for each part, and the cast. Does not belong here: what a client is (`player`), when the broker
is killed (`rounds`).
"""

from __future__ import annotations

import asyncio
import contextlib
from random import Random

from interop.survival.book import Book, Publication, RetainedReading, WillBook
from interop.survival.player import Player, Terms
from reference_broker.wire.types import QoS, Version

_MOST_IN_FLIGHT = 80
_BURST = 25
_TOPICS = 3
_MESSAGES = "m/#"
_WILLS = "will/#"
_DELAYED_FOREVER_SECONDS = 90_000
_READ_SECONDS = 3.0
_LOOK_SECONDS = 0.002


class Part(Player):
    """A player that knows what to do."""

    async def play(self, port: int, random: Random) -> None:  # noqa: ARG002  # others do as it comes
        """Do it until the broker is gone."""
        await self._be_there(port)

    async def settle(self, port: int) -> None:
        """Be there, so that what is owed can come."""
        await self._be_there(port)

    @property
    def is_settled(self) -> bool:
        """Whether all it sent is settled."""
        return not len(self.session)

    async def _be_there(self, port: int) -> None:
        if not self.is_connected:
            await self.connect(port)

    async def _rest(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self.book.pace)


class Publisher(Part):
    """Publishes bursts at every QoS, no more in flight than a window."""

    async def play(self, port: int, random: Random) -> None:
        """As its class says."""
        await self._be_there(port)
        while True:
            qos = QoS(random.choice((0, 1, 1, 2, 2)))
            if not qos or len(self.session) < _MOST_IN_FLIGHT:
                topic = f"m/{self.name}/{random.randrange(_TOPICS)}"
                self.publish([topic] * random.randint(1, _BURST), qos)
            await self._rest(random.uniform(0.005, 0.04))


class Retainer(Part):
    """Sets and clears retained messages, and remembers which may be there."""

    def __init__(self, name: str, terms: Terms, book: Book) -> None:
        super().__init__(name, terms, book)
        self._history: dict[str, list[tuple[Publication | None, str | None]]] = {
            f"r/{name}/{number}": [(None, None)] for number in range(_TOPICS)
        }
        """By topic, the last that was acknowledged, and what was sent since."""

    async def play(self, port: int, random: Random) -> None:
        """As its class says."""
        await self._be_there(port)
        while True:
            if len(self.session) < _MOST_IN_FLIGHT:
                topics = random.choices(list(self._history), k=random.randint(1, 4))
                self.publish(topics, self._qos, retain=True, is_empty=random.random() < 0.3)
            await self._rest(random.uniform(0.005, 0.04))

    @property
    def _qos(self) -> QoS:
        return QoS.EXACTLY_ONCE if self.terms.version is Version.V5 else QoS.AT_LEAST_ONCE

    def _note_retained(self, publication: Publication, retain: bool, is_empty: bool) -> None:
        assert retain
        self._history[publication.topic].append((publication, None if is_empty else publication.name))

    def possible(self) -> dict[str, tuple[str | None, ...]]:
        """By topic, what may be retained now."""
        for history in self._history.values():
            for index in range(len(history) - 1, 0, -1):
                publication = history[index][0]
                if publication is not None and publication.acknowledged is not None:
                    del history[:index]
                    break
        return {topic: tuple(value for _, value in history) for topic, history in self._history.items()}


class Reader(Part):
    """A new client that looks which retained messages there are."""

    async def read(self, port: int, possible: dict[str, tuple[str | None, ...]], random: Random) -> None:
        """Enter in the book what there is, which may be anything `possible`."""
        await self.connect(port)
        began = self.book.now
        filters = ["r/#"] if random.random() < 0.5 else list(possible)
        await self.subscribe(*((each, QoS.AT_LEAST_ONCE) for each in filters))
        certain = {topic for topic, names in possible.items() if None not in names}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_READ_SECONDS):
                while not certain <= self._got(began).keys():  # noqa: ASYNC110  # the book tells nobody
                    await asyncio.sleep(_LOOK_SECONDS)
        await self.disconnect()  # what came until its end counts, too
        got = self._got(began)
        for topic, names in possible.items():
            self.book.readings.append(RetainedReading(self.book.now, topic, got.get(topic), names))

    def _got(self, since: int) -> dict[str, str]:
        return {
            arrival.topic: arrival.name
            for arrivals in self.book.arrivals.values()
            for arrival in arrivals
            if arrival.receiver == self.name and arrival.at > since
        }


class Subscriber(Part):
    """Has a session that is subscribed to one filter; `absence` is how often it stays away."""

    def __init__(
        self,
        name: str,
        terms: Terms,
        book: Book,
        qos: QoS = QoS.EXACTLY_ONCE,
        topic_filter: str = _MESSAGES,
        share: str = "",
        absence: float = 0.0,
    ) -> None:
        super().__init__(name, terms, book)
        self._qos = qos
        self._topic_filter = topic_filter
        self._share = share
        self._absence = absence

    async def play(self, port: int, random: Random) -> None:
        """As its class says."""
        if random.random() < self._absence:
            return
        await self._rest(random.uniform(0, 0.3) * (self._absence > 0))
        await self._be_there(port)

    async def _be_there(self, port: int) -> None:
        await super()._be_there(port)
        if not any(grant.granted is not None for grant in self.grants):
            for grant in self.grants:  # it may be there, and is asked for once more
                grant.unasked = self.book.now
            await self.subscribe((self._topic_filter, self._qos), share=self._share)


class Waverer(Part):
    """Subscribes to single topics, and unsubscribes."""

    async def play(self, port: int, random: Random) -> None:
        """As its class says."""
        await self._be_there(port)
        while True:
            topic = f"m/{random.choice(('p31', 'p311', 'p5'))}/{random.randrange(_TOPICS)}"
            mine = [
                grant
                for grant in self.book.grants
                if grant.receiver == self.name and grant.topic_filter == topic and grant.over is None
            ]
            if mine:
                await self.unsubscribe(mine[0])
            else:
                await self.subscribe((topic, QoS(random.choice((1, 2)))))
            await self._rest(random.uniform(0, 0.02))


class Ender(Subscriber):
    """Ends its session in every way there is, and begins another."""

    async def play(self, port: int, random: Random) -> None:
        """As its class says."""
        while True:
            await self._be_there(port)
            await self._rest(random.uniform(0, 0.08))
            if random.random() < 0.3:
                self.drop()
                await self.until_lost()
            elif self.terms.version is Version.V5 and random.random() < 0.5:
                await self.disconnect(is_session_over=True)
            else:
                self.drop()
                await self.until_lost()
                await self.connect(port, clean=True)
                if random.random() < 0.5:
                    await self.disconnect()


class Mortal(Part):
    """Has a will, and dies, or leaves in order."""

    _delay_seconds = 0
    _is_owed: bool = True

    async def play(self, port: int, random: Random) -> None:
        """As its class says."""
        while True:
            await self._be_there(port)
            await self._rest(random.uniform(0, 0.1))
            how = random.random()
            if how < 0.6:
                self.drop()
                await self.until_lost()
            elif how < 0.8 and self.terms.version is Version.V5:
                await self.disconnect(reason=4)
            else:
                await self.disconnect()

    async def settle(self, port: int) -> None:
        """What it left is published without it."""

    async def _be_there(self, port: int) -> None:
        if not self.is_connected:
            qos = QoS.EXACTLY_ONCE if self.terms.version is Version.V5 else QoS.AT_LEAST_ONCE
            publication = self.new_publication("", qos)
            publication.topic = f"will/{publication.name}"
            await self.connect(port, will=WillBook(publication, self._is_owed), delay=self._delay_seconds)


class Returner(Mortal):
    """Its will is delayed for long, and it always comes back before."""

    _delay_seconds = _DELAYED_FOREVER_SECONDS
    _is_owed = False


class Lingerer(Mortal):
    """Its will is delayed for a second, and it stays away until it was published."""

    _delay_seconds = 1

    async def play(self, port: int, random: Random) -> None:
        """As its class says."""
        if self._is_awaited:
            return
        await self._be_there(port)
        await self._rest(random.uniform(0, 0.1))
        if random.random() < 0.5:
            self.drop()
        await self.until_lost()

    @property
    def _is_awaited(self) -> bool:
        return (
            self._will is not None
            and self._will.must is True
            and self._will in self.book.wills
            and (self._will.publication.name not in self.book.arrivals)
        )


def cast(book: Book) -> list[Part]:
    """Everybody but the reader."""
    v31, v311, v5 = (Terms(version) for version in (Version.V31, Version.V311, Version.V5))
    return [
        Subscriber("s31", v31, book),
        Subscriber("s311", v311, book, QoS.AT_LEAST_ONCE, absence=0.5),
        Subscriber("s311-2", v311, book, absence=0.3),
        Subscriber("s311-0", v311, book, QoS.AT_MOST_ONCE),
        Subscriber("s5-slow", Terms(Version.V5, is_slow=True, receive_maximum=5), book),
        Subscriber("s5-away", v5, book, absence=0.6),
        Subscriber("share-a", v5, book, share="g"),
        Subscriber("share-b", Terms(Version.V5, receive_maximum=20), book, share="g", absence=0.3),
        Subscriber("watcher", v5, book, topic_filter=_WILLS),
        Waverer("waverer", v5, book),
        Ender("ender311", v311, book),
        Ender("ender5", v5, book),
        Publisher("p31", v31, book),
        Publisher("p311", v311, book),
        Publisher("p5", v5, book),
        Retainer("r311", v311, book),
        Retainer("r5", v5, book),
        Mortal("w311", Terms(Version.V311, is_kept=False), book),
        Mortal("w5", Terms(Version.V5, is_kept=False), book),
        Returner("w5-back", v5, book),
        Lingerer("w5-late", v5, book),
    ]
