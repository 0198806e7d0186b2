"""Temperature, prediction sets, outlier detector and review thresholds."""
