"""Data: found or fetched, decoded once into uint8 arrays, then cut into batches that depend on (seed, epoch, sample)
alone.

``spec`` is the config section; ``prepare`` decodes into the cache; ``dataset`` maps the cache; ``batches`` needs torch.
"""
