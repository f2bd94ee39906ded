"""The broadcast channel that all of Holdfast's messages travel on.

It relays and decides nothing: a message carries its topic, an actor declares its interest, the
bus brings them together. It knows no actor and nothing of the game.
"""

from bus.broadcast import FAN_OUT_SLICE, Bus, open_broadcast_channel
from bus.errors import ActorStopped, BusError, Overloaded, ReplyTimeout
from bus.message import Interest, Message
from bus.observer import Observer
from bus.reply import PendingReply, Reply
from bus.statistics import (
    BusStatistics,
    ReplyStatistics,
    SubscriptionStatistics,
    TopicStatistics,
)
from bus.subscription import Subscription
from bus.topics import Delivery, Topic

__all__ = [
    "FAN_OUT_SLICE",
    "ActorStopped",
    "Bus",
    "BusError",
    "BusStatistics",
    "Delivery",
    "Interest",
    "Message",
    "Observer",
    "Overloaded",
    "PendingReply",
    "Reply",
    "ReplyStatistics",
    "ReplyTimeout",
    "Subscription",
    "SubscriptionStatistics",
    "Topic",
    "TopicStatistics",
    "open_broadcast_channel",
]
