"""Photos in, tensors out: safe decoding, folders with labels, preprocessing and augmentation."""
