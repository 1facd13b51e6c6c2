"""Ways to find bars with given features, a module each: the agent, and the baselines that it is measured against."""
