"""Labelled photos: data sets of many layouts, safe decoding, preprocessing and augmentation."""
