"""A leaderboard actor: the worked example of the documentation's page "Add an actor"."""
