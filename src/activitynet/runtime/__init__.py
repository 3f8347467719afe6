"""Devices, memory, random seeds and distributed processes."""
