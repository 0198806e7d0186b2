"""How a checkpoint is made, judged and documented; never part of the serving image."""
