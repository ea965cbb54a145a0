"""What operators of an application see."""
