"""Files, tensors and records on disk: written whole or not at all, read without trust."""
