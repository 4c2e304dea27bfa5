"""Will messages: when one is published, and when not. [3.1.1 3.1.2.5, 5.0 3.1.2.5, 3.1.3.2]

Belongs here: the decision at each end of a connection or session, and the message that results.
Does not belong here: whether a CONNECT's will is acceptable (`values.admission`).
"""

from __future__ import annotations

from dataclasses import replace

from reference_broker.broker.keeping.exchange import Exchange
from reference_broker.broker.keeping.session import Session
from reference_broker.broker.values.admission import Admission
from reference_broker.broker.values.log import Log, shortened
from reference_broker.broker.values.message import Message
from reference_broker.broker.values.timers import Timers


class Wills:
    """Publishes the wills of a broker's sessions, each at most once. [5.0 MQTT-3.1.2-10]"""

    def __init__(self, admission: Admission, timers: Timers, exchange: Exchange, log: Log) -> None:
        self._admission = admission
        self._timers = timers
        self._exchange = exchange
        self._log = log

    def connection_closed(self, session: Session, now: float, *, publish_will: bool) -> None:
        """Publish, delay or discard the will; `publish_will` is False after a normal DISCONNECT. [5.0 MQTT-3.14.4-3]"""
        if session.will is None:
            return
        if not publish_will:
            session.will = None
            return
        delay = min(session.will.properties.will_delay_interval or 0, session.expiry_interval)
        if delay == 0:
            self.publish(session, now)
        else:
            self.publish_later(session, delay, now)

    def publish_later(self, session: Session, delay_seconds: float, now: float) -> None:
        """Publish the will when the delay has passed, unless the client returns. [5.0 MQTT-3.1.3-9]"""
        session.will_timer = self._timers.at(now + delay_seconds, lambda at: self.publish(session, at))

    def session_ended(self, session: Session, now: float) -> None:
        """The session's end comes before the delay's: publish now. [5.0 3.1.3.2.2]"""
        self.publish(session, now)

    def publish(self, session: Session, now: float) -> None:
        """Publish the will if it is still there, and forget it. [5.0 MQTT-3.1.2-8, MQTT-3.1.2-10]"""
        will, session.will = session.will, None
        if will is None:
            return
        session.keep()
        if self._admission.topic_refusal(session, will.topic) is not None:  # since a restart, say
            line = f"client id {session.client_id!r}: not allowed to publish its will to {will.topic!r}"
            self._log.write(shortened(line))
            return
        # Its lifetime begins with its publication; the delay is not for subscribers. [5.0 3.1.3.2.4, table 2-4]
        properties = replace(will.properties, will_delay_interval=None)
        message = Message(will.topic, will.payload, will.qos, will.retain, properties, now, session.client_id)
        self._exchange.accept(message, now)
