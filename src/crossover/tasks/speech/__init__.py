"""What is said in recordings."""
