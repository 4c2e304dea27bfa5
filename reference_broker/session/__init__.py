"""What both ends of a connection share: QoS 1/2 delivery, packet ids, flow control, keep alive, topic aliases."""
