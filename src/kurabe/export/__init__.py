"""From a run's winner to the files that other programs serve."""
