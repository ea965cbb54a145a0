"""Values of the three kinds: what a manifest says, parsed once."""
