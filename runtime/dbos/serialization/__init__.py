"""Values to text and back."""
