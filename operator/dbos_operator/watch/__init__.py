"""The kopf face: turns what the API server says into the desired state, and decides nothing."""
