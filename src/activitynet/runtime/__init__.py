"""The machine a run is on: devices, cores, memory, and the processes of a distributed run."""
