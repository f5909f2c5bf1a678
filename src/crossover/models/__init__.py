"""What a sequence model is, on one device."""
