"""From fresh paired runs to a decision in plain words: estimates, their intervals, the verdict."""
