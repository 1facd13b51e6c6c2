"""One file an environment: its reward, its network and its training, put together."""
