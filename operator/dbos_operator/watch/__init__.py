"""The kopf face: watch events become the desired state."""
