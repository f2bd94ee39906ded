"""The Ticker: the world clock, and the only source of game time."""

from actors.ticker.actor import TICKER_KEY, Ticker
from actors.ticker.messages import GetWorld, Tick, TickerStatistics, World

__all__ = ["TICKER_KEY", "GetWorld", "Tick", "Ticker", "TickerStatistics", "World"]
