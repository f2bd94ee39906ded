"""The broadcast channel that all of Holdfast's messages travel on.

It relays and decides nothing: messages carry a topic, actors declare interests, and the bus
matches the two. It knows nothing of the actors or the game.
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
