"""Running the guides: their code blocks in order, as they stand there, on drawn data and small networks."""
