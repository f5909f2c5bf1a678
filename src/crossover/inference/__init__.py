"""Using what was trained: predictions, text, other formats. Reads ``model.safetensors``, never a pickle."""
