"""Lines of onsets that answer one another: their text, what they are rewarded for, and the agents that write them."""
